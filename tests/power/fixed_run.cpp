#include "tests/power/fixed_run.hpp"

#include "tests/power/inspection.hpp"

#include <fmt/format.h>

namespace cairn::power {

namespace {

constexpr std::uint64_t the_seed = 20'261'124;
constexpr std::uint64_t max_value_file_bytes = 48U << 10U; // some files roll over
constexpr int messages = 20;                               ///< of each life
constexpr int rotten_archives = 3;
constexpr int mending_ticks = 4; ///< in which a failed file is replaced, a lost database connected again
constexpr std::chrono::milliseconds tick{1'100};

} // namespace

fixed_run::fixed_run(flushed_database& database, const std::string& data_directory, allowed_failures allowed,
                     const std::string& node_connection)
    : allowed_(std::move(allowed)), random_(the_seed),
      node_(database, data_directory, the_seed, max_value_file_bytes, node_connection) {}

int fixed_run::go() {
  start();
  live();
  node_.lose_power();
  start();
  for (auto& u : facts_.uploads)
    u.has_survived = u.stored.is_so == belief::yes;
  live();
  rot_and_mend();
  stop();
  start();
  stop(); // nothing was written: the open file is removed
  on_end();
  mended_ = facts_.mended;
  node_.disk().clear_faults();
  node_.lose_power();
  start();
  inspection(node_, facts_).run();
  return refused_starts_;
}

/// A start that is refused is tried once more.
void fixed_run::start() {
  if (const auto refusal = node_.try_start()) {
    ++refused_starts_;
    check_refusal(*refusal);
    node_.start();
  }
  clients_.begin_life();
  clients_.expect_faults(allowed_.reads, allowed_.writes);
}

void fixed_run::live() {
  clients_.add_east();
  for (int i = 0; i < messages; ++i) {
    clients_.act();
    settle();
  }
  wait_for_replies();
  archive_one();
  for (int i = 0; i < 5; ++i) {
    clients_.look();
    settle();
  }
}

void fixed_run::rot_and_mend() {
  for (int i = 0; i < rotten_archives; ++i) {
    clients_.rot();
    settle();
    clients_.mend();
    wait_for_replies();
  }
}

void fixed_run::stop() {
  clients_.expect_stop();
  const auto stopped = node_.stop();
  settle();
  for (int ticks = 0; ticks < allowed_.stop_ticks && !stopped->reply; ++ticks) {
    node_.pass(tick);
    settle();
  }
  if (!stopped->reply)
    throw broken_promise("the stop is not answered");
  node_.lose_power();
}

void fixed_run::check_refusal(const readiness& refusal) const {
  if (!allowed_.starts.contains(refusal.result))
    throw broken_promise(
      fmt::format("the start is refused {} {}", to_string(refusal.result), refusal.error_message));
}

void fixed_run::settle() {
  node_.run();
  clients_.take_replies();
}

void fixed_run::wait_for_replies() {
  for (int ticks = 0; ticks < mending_ticks; ++ticks) {
    settle();
    node_.pass(tick);
  }
  settle();
  if (clients_.in_flight() != 0)
    throw broken_promise(fmt::format("{} requests have no reply", clients_.in_flight()));
}

/// It goes on: after the failure an archive is taken, at the second attempt at the latest.
void fixed_run::archive_one() {
  for (int attempt = 0; attempt < 2; ++attempt) {
    clients_.archive_new();
    wait_for_replies();
    if (facts_.uploads.back().stored.is_so == belief::yes)
      return;
  }
  throw broken_promise("no archive is taken after the failure");
}

} // namespace cairn::power
