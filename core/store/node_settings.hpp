#pragma once
/// All that makes one node: who it is, where its data lie, and its limits.

#include "core/disk/disk.hpp"
#include "core/messages.hpp"

#include <algorithm>
#include <chrono>
#include <string>
#include <thread>

namespace cairn {

struct node_settings {
  std::string data_directory;
  std::string cluster_name = "cairn";
  std::string node_name = "node-1";
  node_id id{1};
  std::string database;               ///< connection string or URI; empty = the node runs its own PostgreSQL
  std::string postgres_bin_directory; ///< of its own PostgreSQL; empty = found

  std::chrono::milliseconds sync_interval{1'000};
  std::chrono::milliseconds idle_limit{60'000};      ///< of active segments and of retrievals
  std::chrono::milliseconds request_timeout{30'000}; ///< then a client's request is answered timed_out
  std::chrono::milliseconds database_patience{10'000};
  std::uint64_t max_value_file_bytes = 1ULL << 30U;
  unsigned reserve_percent = 5; ///< of a volume that is kept free
  std::uint64_t min_reserve_bytes = 1ULL << 30U;
  io_mode io = io_mode::direct;
  /// A smaller round is not written while the database has another one: each costs the same for one as for
  /// many.
  std::size_t min_overlapping_round = 12;
  std::size_t reader_count = 4;
  /// One serves several cores: the more payloads it gets at a time, the faster it is.
  std::size_t digester_count = std::max(1U, std::thread::hardware_concurrency() / 4);
  node_limits limits;
};

} // namespace cairn
