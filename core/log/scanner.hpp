#pragma once
/// Reads a value file as the log it is, record by record, and finds its way again past bytes that are none.

#include "core/disk/disk.hpp"
#include "core/log/codec.hpp"

#include <memory>
#include <optional>
#include <variant>
#include <vector>

namespace cairn {

/// A record as it stands in a file. Its header, and the data of all but sequences, passed their checksums.
struct scanned_record {
  std::optional<record_body> body; ///< none: a type this program does not know and may skip
  placement at;
  record_prefix prefix;
  std::vector<std::byte> header; ///< its bytes, for the file's digest
};

/// Bytes that are no record although one should begin there.
struct unparsed_bytes {
  std::uint64_t offset = 0;
  std::string reason;
};

struct end_of_file {};

using scan_step = std::variant<scanned_record, unparsed_bytes, end_of_file>;

/// Not thread-safe. Holds one window of the file, never more.
class log_scanner {
public:
  /// @param end nothing counts from here on: the fence that the successor's header names, or none: the file's
  /// size. A file that is shorter, or without a fence ends inside a block, ends with unparsed_bytes.
  /// @error damaged: no file header; version_mismatch: a newer program's; storage_error: it cannot be read
  static result<log_scanner> open(std::unique_ptr<disk_file> file, std::optional<std::uint64_t> end = {});

  [[nodiscard]] const file_header& header() const { return header_; }
  [[nodiscard]] std::span<const std::byte> header_block() const { return header_block_; }
  [[nodiscard]] std::uint64_t end() const { return end_; }

  /// The next record, the place where none parses, or the end. After unparsed_bytes call resync() or stop.
  /// @error storage_error; version_mismatch: an intact record that only a newer program understands
  result<scan_step> next();
  /// Moves on to the next offset where a record of this file parses, or to the end.
  /// @returns that offset. @error storage_error, version_mismatch as next()
  result<std::uint64_t> resync();
  /// Reads a sequence's data and compares its CRC-32C. @error storage_error
  result<bool> data_is_intact(const scanned_record& record);

private:
  log_scanner(std::unique_ptr<disk_file> file, std::uint64_t end, bool is_cut_short);

  result<std::span<const std::byte>> view(std::uint64_t offset, std::size_t count);
  result<scan_step> parse_at(std::uint64_t offset);
  result<std::optional<std::uint64_t>> skip_padding(std::uint64_t offset);

  std::unique_ptr<disk_file> file_;
  std::uint64_t end_ = 0;
  bool is_cut_short_ = false;  ///< bytes that were written are missing at the end, which is yet to be told
  std::uint64_t position_ = 0; ///< end of the last record's data, or where the next record begins
  file_header header_;
  std::vector<std::byte> header_block_;
  std::vector<std::byte> window_;
  std::uint64_t window_offset_ = 0;
};

} // namespace cairn
