#pragma once
/// Receipts against the bytes on the disk: no node, no database and no reader is asked.

#include "core/archive.hpp"
#include "core/log/record.hpp"

#include <map>
#include <span>
#include <string>

namespace cairn::crash {

/// What a receipt acknowledges.
enum class fact : std::uint8_t { final, tombstone, cancel, conjoined };

struct kept_receipt {
  receipt proof;
  unified_id version; ///< that the acknowledged record must be about
  fact what = fact::final;
};

/// Reads the value files below a node's data directory. One thread at a time.
class log_evidence {
public:
  explicit log_evidence(std::string data_directory) : data_directory_(std::move(data_directory)) {}

  /// @returns why the disk does not prove the acknowledgement; empty when it does
  std::string objection_to(const kept_receipt& kept);
  /// Whether these bytes lie there.
  bool holds(value_file_id file, std::uint64_t offset_bytes, std::span<const std::byte> bytes);
  /// Changes a bit of a byte in a file of an earlier life. In the newest one, a record that is damaged looks
  /// like one that was never synced.
  /// @returns false: it lies in a newer one
  bool rot(value_file_id file, std::uint64_t offset_bytes);

private:
  [[nodiscard]] std::string path_of(value_file_id file) const;
  /// @returns fewer bytes where the file ends
  std::string read(value_file_id file, std::uint64_t offset_bytes, std::size_t size_bytes) const;
  std::uint64_t nonce_of(value_file_id file);

  std::string data_directory_;
  std::map<value_file_id, std::uint64_t> nonces_;
};

} // namespace cairn::crash
