#pragma once
/// A whole node whose actors move only when a test says so, over a memory disk and a real PostgreSQL.

#include "actors/storage_node.hpp"
#include "tests/actors/actor_fixture.hpp"
#include "tests/harness/program.hpp"
#include "tests/support/memory_disk.hpp"
#include "tests/support/test_database.hpp"

#include <initializer_list>
#include <string>
#include <string_view>

namespace cairn {

/// Ready, and with a client that said hello, from construction on.
class stepped_node {
public:
  /// @param change may change the settings: no reserve, and everything else as cairnd has it
  explicit stepped_node(const std::function<void(node_settings&)>& change = {});
  stepped_node(const stepped_node&) = delete;
  stepped_node& operator=(const stepped_node&) = delete;
  ~stepped_node();

  memory_disk& disk() { return disk_; }
  [[nodiscard]] const test_database& database() const { return database_; }
  [[nodiscard]] const node_owner_actor& handle() const { return node_; }
  /// What the node's own actor knows.
  [[nodiscard]] const storage_node_state& state() const;

  /// Until every actor has done what it can without time passing.
  void run() { scheduler_.run(); }
  /// The same, but actors of these names do not move.
  void run_without(std::initializer_list<std::string_view> names);
  /// Lets time pass, at once.
  void pass(std::chrono::milliseconds time);

  /// The client sends; nothing has moved yet.
  template <class Reply, class Request>
  pending_outcome<Reply> send(Request request) {
    return ask_as<Reply>(client_, node_, std::move(request));
  }
  /// The client sends, and everything runs. A reply that does not come is the test's failure.
  template <class Reply, class Request>
  Reply call(Request request) {
    auto out = send<Reply>(std::move(request));
    run();
    EXPECT_TRUE(out->reply) << "no reply";
    return out->reply.value_or(Reply{});
  }

  /// Asks for the orderly end; nothing has moved yet.
  pending_outcome<node_stopped> stop();
  /// What is queued is lost, and so is what was not synced.
  void lose_power();
  /// Starts again after any end.
  void restart();

private:
  void begin();
  void end();

  harness::scratch_directory scratch_;
  test_database database_;
  memory_disk disk_;
  node_settings settings_;
  stepped_config config_;
  caf::actor_system system_{config_};
  caf::scheduler::test_coordinator& scheduler_;
  node_owner_actor node_;
  caf::actor client_;
  readiness start_;
};

} // namespace cairn
