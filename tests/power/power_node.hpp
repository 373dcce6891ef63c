#pragma once
/// A whole node on a machine that loses power: its actors take steps in an order that the seed says, one at a
/// time, over a memory disk and a database that both forget what they had not made durable. Power may go
/// between any two steps, and between any two operations of the disk; while value_file waits for the disk,
/// others take steps.
///
/// Outside the simulation, on the real disk: lock and identity of the data directory.

#include "actors/storage_node.hpp"
#include "tests/actors/actor_fixture.hpp"
#include "tests/power/flushed_database.hpp"
#include "tests/power/watched_disk.hpp"
#include "tests/support/memory_disk.hpp"

#include <optional>
#include <random>
#include <stdexcept>

namespace cairn::power {

using random_source = std::mt19937_64;

inline std::uint64_t pick(random_source& random, std::uint64_t below) { return random() % below; }
inline bool chance(random_source& random, unsigned percent) { return pick(random, 100) < percent; }

/// The node did what it must not.
struct broken_promise : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// Prints a line when CAIRN_POWER_TRACE is set.
void trace(const std::string& line);
bool is_traced();

class power_node {
public:
  static constexpr std::size_t client_count = 3;
  static constexpr std::uint64_t never = ~std::uint64_t{0}; ///< operations until power is cut

  /// @param connection how the node reaches the database, if not directly
  power_node(flushed_database& database, const std::string& data_directory, std::uint64_t seed,
             std::uint64_t max_value_file_bytes, const std::string& connection = {});
  power_node(const power_node&) = delete;
  power_node& operator=(const power_node&) = delete;
  ~power_node();

  /// Recovers, and has all clients say hello.
  /// @returns false: power went meanwhile. @throws broken_promise: it does not start
  bool start();
  /// The same, but a start that is refused is for the caller to judge: it has ended when this returns.
  /// @returns why it is refused, nothing when it is ready or power went
  std::optional<readiness> try_start();
  [[nodiscard]] bool has_power() const { return !disk_.power_is_cut(); }

  /// A client sends; the request is in the node's mailbox, nothing else has moved.
  template <class Reply, class Request>
  pending_outcome<Reply> send(std::size_t client, Request request) {
    auto out = ask_as<Reply>(clients_[client], node_, std::move(request));
    deliver();
    return out;
  }
  /// A client sends, and everything runs. @throws broken_promise: no reply comes
  template <class Reply, class Request>
  Reply call(Request request) {
    auto out = send<Reply>(0, std::move(request));
    run();
    if (!out->reply)
      throw broken_promise("no reply to a question");
    return std::move(*out->reply);
  }

  /// One actor does one thing; what is for clients reaches them. @returns false: there was nothing to do, or
  /// there is no power
  bool step();
  /// Until nothing is left to do without time passing, or power is gone.
  void run();
  void pass(std::chrono::milliseconds time);
  /// The orderly end; nothing has moved yet.
  pending_outcome<node_stopped> stop() { return send<node_stopped>(0, stop_node{}); }

  /// Disk and database forget, and the process is gone.
  void lose_power();
  /// The process is gone.
  void kill_process();

  memory_disk& disk() { return disk_; }
  [[nodiscard]] std::string spaces_root() const { return settings_.data_directory + "/spaces"; }
  /// How many numbers of the log the database lost, of all power losses.
  [[nodiscard]] std::uint64_t lost_commits() const { return lost_commits_; }

private:
  void greet(std::size_t client);
  void before_disk_operation();
  void deliver();
  void end();

  flushed_database& database_;
  random_source random_;
  memory_disk disk_;
  bool is_starting_ = false; ///< recovery commits between operations of the disk
  bool is_writing_ = false;  ///< value_file is at its step: on its thread, others go on while it waits
  watched_disk watched_;
  node_settings settings_;
  stepped_config config_;
  caf::actor_system system_{config_};
  caf::scheduler::test_coordinator& scheduler_;
  node_owner_actor node_;
  std::vector<caf::actor> clients_;
  std::uint64_t lost_commits_ = 0;
};

} // namespace cairn::power
