#include "sim/shrink.h"

#include <array>

namespace postlane::sim {
namespace {

constexpr std::uint64_t kLucks = 6;

// "G3", "not everything ended": the same kind of trouble has to remain.
std::string kind_of(const std::string& trouble) {
    constexpr std::size_t kEnough = 12;
    return trouble.substr(0, std::min(trouble.find(':'), kEnough));
}

class Shrinker {
public:
    Shrinker(Shrunk& at, const Judge& judge, int runs_max)
        : at_(at), kind_(kind_of(at.trouble)), judge_(judge), runs_max_(runs_max) {}

    bool round() {
        const Options now = options_of(at_.smallest);
        bool smaller = false;
        smaller |= lower(&Case::instances, now.instances, 1);
        smaller |= lower(&Case::partitions, now.partitions, 1);
        smaller |= lower(&Case::messages, static_cast<std::int64_t>(now.traffic.messages), 1);
        smaller |=
            lower(&Case::suppressions, static_cast<std::int64_t>(now.traffic.suppressions), 0);
        for (const FaultClass& each : fault_classes()) {
            if (now.faults.*each.magnitude > 0) {
                Case without = at_.smallest;
                without.without.insert(std::string(each.name));
                smaller |= try_out(without);
            }
        }
        if (now.epilogue != Epilogue::None) {
            Case without = at_.smallest;
            without.without.insert(kEpilogueWord);
            smaller |= try_out(without);
        }
        smaller |= lower(&Case::recipients, static_cast<std::int64_t>(now.traffic.recipients), 1);
        smaller |= lower(&Case::duration_ms, now.duration / kMillisecond, 1'000);
        return smaller && at_.runs < runs_max_;
    }

private:
    bool lower(std::optional<std::int64_t> Case::* which, std::int64_t now, std::int64_t least) {
        for (const std::int64_t next : std::array{least, now / 2, now * 3 / 4}) {
            if (next < now && next >= least) {
                Case fewer = at_.smallest;
                fewer.*which = next;
                if (try_out(fewer)) {
                    return true;
                }
            }
        }
        return false;
    }

    bool try_out(Case one) {
        const std::uint64_t luck_now = at_.smallest.luck;
        for (std::uint64_t luck = 0; luck <= kLucks && at_.runs < runs_max_; ++luck) {
            one.luck = luck == 0 ? luck_now : luck;
            at_.runs += 1;
            if (std::string trouble = judge_(one); kind_of(trouble) == kind_ && !trouble.empty()) {
                at_.smallest = std::move(one);
                at_.trouble = std::move(trouble);
                return true;
            }
        }
        return false;
    }

    Shrunk& at_;
    const std::string kind_;
    const Judge& judge_;
    const int runs_max_;
};

}  // namespace

Shrunk shrink(const Case& failing, const std::string& trouble, const Judge& judge, int runs_max) {
    Shrunk shrunk{failing, trouble, 0};
    Shrinker shrinker(shrunk, judge, runs_max);
    while (shrinker.round()) {
    }
    shrunk.smallest.note = shrunk.trouble;
    return shrunk;
}

}  // namespace postlane::sim
