#pragma once
/// A node inside this process: real actors, real disk, a PostgreSQL of its own, no sockets between client and
/// node. In one line: `cairn::harness::local_node node;`, and then `node.attach()`.

#include "actors/interfaces.hpp"
#include "core/store/node_settings.hpp"
#include "net/client.hpp"
#include "tests/harness/database.hpp"
#include "tests/harness/faulty_disk.hpp"
#include "tests/harness/scratch.hpp"

#include <memory>
#include <string>

#include <caf/actor_system.hpp>
#include <caf/actor_system_config.hpp>

namespace cairn::harness {

/// Settings of a small node that a test runs in `data_directory`: a small reserve, so that a crowded machine
/// does not matter, and everything else as cairnd has it.
node_settings settings_in(const std::string& data_directory);

/// Starts with construction, stops in order with destruction. Its clients must be gone before.
class local_node {
public:
  /// A node of a new directory, which is gone with it. @throws harness_error when it does not start
  local_node();
  /// Returns when the node is ready or has failed to be; start() tells.
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
  /// Ends the node as a defect would: its actors go where they stand, with all that they remember. What was
  /// written to the disk, and what the database committed, is there. Destroy this object to wait until they
  /// are gone.
  void end_abruptly();

  // --- faults ---

  /// See disk_faults.
  void fill_disk(std::int64_t bytes_left = full_disk_bytes_left) { faults_.fill(bytes_left); }
  void free_disk() { faults_.free(); }
  void fail_sync(std::int64_t nth = 1) { faults_.fail_sync(nth); }
  /// Its PostgreSQL ends as a crash would; the node starts another.
  void lose_database() { lose_database_of(settings_.data_directory); }
  /// Faults that have struck.
  [[nodiscard]] const disk_faults& faults() const { return faults_; }

private:
  struct config : caf::actor_system_config {
    config();
  };
  explicit local_node(std::unique_ptr<scratch_directory> scratch);

  std::unique_ptr<scratch_directory> scratch_; ///< null when the directory was given
  node_settings settings_;
  disk_faults faults_;
  faulty_disk disk_{real_disk(), faults_};
  config config_;
  caf::actor_system system_;
  node_owner_actor node_; ///< null once it was stopped or has failed
  readiness start_;
};

} // namespace cairn::harness
