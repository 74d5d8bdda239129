// Stands in for libFuzzer: runs a target over the files and folders named, once each, and over the empty input.
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <vector>

#include "fuzz.h"

namespace {

std::vector<std::filesystem::path> files_of(const std::filesystem::path& path) {
    std::vector<std::filesystem::path> files;
    if (!std::filesystem::is_directory(path)) {
        return {path};
    }
    for (const auto& entry : std::filesystem::directory_iterator(path)) {
        files.push_back(entry.path());
    }
    std::sort(files.begin(), files.end());
    return files;
}

}  // namespace

int main(int argc, char** argv) {
    std::size_t inputs = 0;
    for (int index = 1; index < argc; ++index) {
        for (const auto& file : files_of(argv[index])) {
            std::ifstream in(file, std::ios::binary);
            if (!in) {
                std::fprintf(stderr, "%s cannot be read\n", file.c_str());
                return 1;
            }
            const std::string bytes((std::istreambuf_iterator<char>(in)), {});
            std::fprintf(stderr, "%s\n",
                         file.filename().c_str());  // the last one named is the one that failed
            (void)LLVMFuzzerTestOneInput(reinterpret_cast<const std::uint8_t*>(bytes.data()),
                                         bytes.size());
            ++inputs;
        }
    }
    (void)LLVMFuzzerTestOneInput(nullptr, 0);
    std::printf("%zu inputs\n", inputs);
    return inputs > 0 ? 0 : 1;
}
