#include "adapters/prometheus/process_metrics.h"

#include <sys/resource.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>
#include <sstream>
#include <string>
#include <system_error>

namespace postlane {
namespace {

prometheus::MetricFamily family(const char* name, const char* help, prometheus::MetricType type,
                                double value) {
    prometheus::ClientMetric metric;
    if (type == prometheus::MetricType::Counter) {
        metric.counter.value = value;
    } else {
        metric.gauge.value = value;
    }
    return {name, help, type, {metric}};
}

struct Stat {
    double cpu_seconds = 0;
    double start_ticks = 0;
    double virtual_bytes = 0;
    double resident_bytes = 0;
};

// proc(5): the fields after the command name, which is in parentheses and may hold spaces.
std::optional<Stat> read_stat() {
    std::ifstream file("/proc/self/stat");
    const std::string text{std::istreambuf_iterator<char>(file), {}};
    const auto name_end = text.rfind(')');
    if (name_end == std::string::npos) {
        return std::nullopt;
    }
    std::istringstream fields(text.substr(name_end + 1));
    std::vector<std::string> words{std::istream_iterator<std::string>(fields), {}};
    if (words.size() < 22) {
        return std::nullopt;
    }
    const auto ticks = static_cast<double>(sysconf(_SC_CLK_TCK));
    const auto page = static_cast<double>(sysconf(_SC_PAGESIZE));
    return Stat{.cpu_seconds = (std::stod(words[11]) + std::stod(words[12])) / ticks,
                .start_ticks = std::stod(words[19]) / ticks,
                .virtual_bytes = std::stod(words[20]),
                .resident_bytes = std::stod(words[21]) * page};
}

std::optional<double> boot_time_seconds() {
    std::ifstream file("/proc/stat");
    std::string line;
    while (std::getline(file, line)) {
        if (line.starts_with("btime ")) {
            return std::stod(line.substr(6));
        }
    }
    return std::nullopt;
}

}  // namespace

std::vector<prometheus::MetricFamily> process_metrics() {
    using prometheus::MetricType;
    std::vector<prometheus::MetricFamily> families;
    if (const auto stat = read_stat()) {
        families.push_back(family("process_cpu_seconds_total", "User and system CPU time spent.",
                                  MetricType::Counter, stat->cpu_seconds));
        families.push_back(family("process_resident_memory_bytes", "Resident memory.",
                                  MetricType::Gauge, stat->resident_bytes));
        families.push_back(family("process_virtual_memory_bytes", "Virtual memory.",
                                  MetricType::Gauge, stat->virtual_bytes));
        if (const auto boot = boot_time_seconds()) {
            families.push_back(family("process_start_time_seconds",
                                      "Start of the process, seconds since 1970.",
                                      MetricType::Gauge, *boot + stat->start_ticks));
        }
    }
    std::error_code error;
    const std::filesystem::directory_iterator open("/proc/self/fd", error);
    if (!error) {
        families.push_back(family("process_open_fds", "Open file descriptors.", MetricType::Gauge,
                                  static_cast<double>(std::distance(begin(open), end(open)))));
    }
    rlimit limit{};
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        families.push_back(family("process_max_fds", "Most file descriptors that may be open.",
                                  MetricType::Gauge, static_cast<double>(limit.rlim_cur)));
    }
    return families;
}

}  // namespace postlane
