#pragma once
/// One run, always the same: start, messages, loss of power, recovery, messages, bytes that rot and are
/// mended, stop, start, stop. Made again and again, each time with another operation of disk or database that
/// fails.

#include "tests/power/facts.hpp"
#include "tests/power/power_node.hpp"
#include "tests/power/workload.hpp"

#include <functional>
#include <set>
#include <string>

namespace cairn::power {

/// What may fail decides which answers are allowed while it does.
struct allowed_failures {
  std::set<errc> starts;
  std::set<errc> reads;
  std::set<errc> writes;
  int stop_ticks = 0; ///< seconds that may pass before a stop is answered
};

/// Every request has one reply, an allowed one; the node goes on, or refuses a start and takes the next; and
/// what was acknowledged survives the loss of power that follows.
class fixed_run {
public:
  /// @param node_connection how the node reaches the database, if not directly
  fixed_run(flushed_database& database, const std::string& data_directory, allowed_failures allowed,
            const std::string& node_connection = {});

  power_node& node() { return node_; }
  std::function<void()> on_end = [] {}; ///< after the last stop: nothing fails from here on

  /// @returns how many starts were refused. @throws broken_promise
  int go();
  /// How many damaged archives were mended before the end.
  [[nodiscard]] std::size_t mended() const { return mended_; }

private:
  void start();
  void live();
  void rot_and_mend();
  void stop();
  void check_refusal(const readiness& refusal) const;
  void settle();
  void wait_for_replies();
  void archive_one();

  allowed_failures allowed_;
  random_source random_;
  power_node node_;
  facts facts_;
  workload clients_{node_, facts_, random_};
  int refused_starts_ = 0;
  std::size_t mended_ = 0;
};

} // namespace cairn::power
