#pragma once
/// A node inside this process: real actors, real disk, a PostgreSQL of its own, no sockets between client and
/// node.

#include "actors/interfaces.hpp"
#include "core/store/node_settings.hpp"
#include "net/client.hpp"

#include <memory>
#include <string>

#include <caf/actor_system.hpp>
#include <caf/actor_system_config.hpp>

namespace cairn::harness {

/// Settings of a small node that a test runs in `data_directory`: no reserve, so that a full machine does not
/// matter, and everything else as cairnd has it.
node_settings settings_in(const std::string& data_directory);

/// Starts with construction, stops in order with destruction. Its clients must be gone before.
class local_node {
public:
  /// Returns when the node is ready or has failed to be.
  explicit local_node(node_settings settings);
  local_node(const local_node&) = delete;
  local_node& operator=(const local_node&) = delete;
  ~local_node();

  /// What came of the start.
  [[nodiscard]] const readiness& start() const { return start_; }
  [[nodiscard]] const node_settings& settings() const { return settings_; }
  caf::actor_system& system() { return system_; }
  storage_node_actor handle();
  /// A client that said hello. @throws harness_error when it is refused
  std::unique_ptr<client> attach();
  /// Stops the node in order; requests are answered shutting_down, then it is gone.
  /// @returns how many requests had no answer. @throws harness_error when it does not stop
  std::int64_t stop();

private:
  struct config : caf::actor_system_config {
    config();
  };

  node_settings settings_;
  config config_;
  caf::actor_system system_;
  node_owner_actor node_; ///< null once it was stopped or has failed
  readiness start_;
};

} // namespace cairn::harness
