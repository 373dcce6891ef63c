#pragma once
/// What a node's actors tell about themselves: written by the one that knows, read by whoever reports.

#include "core/ids.hpp"

#include <atomic>
#include <cstdint>
#include <mutex>
#include <string>

namespace cairn {

/// Shared by the actors of one node; every member is thread-safe. storage_node fills in what recovery found.
struct node_vitals {
  // writer
  std::atomic<std::int64_t> active_segments{0};
  std::atomic<std::int64_t> completions_waiting{0};
  std::atomic<std::int64_t> oldest_wait_since_us{0}; ///< steady clock; 0 = nobody waits
  std::atomic<std::uint64_t> rounds{0};
  std::atomic<std::uint64_t> archives{0};       ///< acknowledged as durable
  std::atomic<std::uint64_t> bytes_archived{0}; ///< payload written to the log
  /// Every acknowledged fact has a number up to this one: readers serve from no older database.
  std::atomic<std::uint64_t> acknowledged_lsn{0};

  // reader
  /// The database lacked what was acknowledged, or was not there: node_db is to look, rounds or not.
  std::atomic<bool> readers_wait{false};

  // value_file
  std::atomic<std::int32_t> value_file{0};
  std::atomic<std::uint64_t> value_file_bytes{0};
  std::atomic<bool> has_space{true};

  // reply
  std::atomic<std::uint64_t> window_bytes{0}; ///< payload under way of all clients

  /// node_db: "connected", or what is wrong.
  void set_database(std::string text) {
    const std::lock_guard lock(mutex_);
    database_ = std::move(text);
  }
  [[nodiscard]] std::string database() const {
    const std::lock_guard lock(mutex_);
    return database_;
  }

private:
  mutable std::mutex mutex_;
  std::string database_ = "not connected yet";
};

} // namespace cairn
