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
  bool is_unreadable = false; ///< the disk did not give them: what lies there is not known
};

struct end_of_file {};

using scan_step = std::variant<scanned_record, unparsed_bytes, end_of_file>;

/// Not thread-safe. Holds one window of the file, never more. Where single blocks cannot be read, it goes on
/// behind them as behind damaged ones.
class log_scanner {
public:
  /// @param end nothing counts from here on: the fence that the successor's header names, or none: the file's
  /// size. A file that is shorter, or without a fence ends inside a block, ends with unparsed_bytes.
  /// @error damaged: no file header; version_mismatch: a newer program's; storage_error: its header cannot be
  /// read
  static result<log_scanner> open(std::unique_ptr<disk_file> file, std::optional<std::uint64_t> end = {});

  [[nodiscard]] const file_header& header() const { return header_; }
  [[nodiscard]] std::span<const std::byte> header_block() const { return header_block_; }
  [[nodiscard]] std::uint64_t end() const { return end_; }

  /// The next record, the place where none parses, or the end. After unparsed_bytes call resync() or stop.
  /// @error storage_error: no block of a whole window can be read; version_mismatch: an intact record that
  /// only a newer program understands
  result<scan_step> next();
  /// Moves on to the next offset where a record of this file parses, or to the end.
  /// @returns that offset. @error storage_error, version_mismatch as next()
  result<std::uint64_t> resync();
  /// Reads a sequence's data and compares its CRC-32C; what cannot be read is not intact. @error
  /// storage_error
  result<bool> data_is_intact(const scanned_record& record);
  /// Why a block was not read that the last next() or data_is_intact() wanted; empty when all were.
  [[nodiscard]] const std::string& read_trouble() const { return read_trouble_; }

private:
  log_scanner(std::unique_ptr<disk_file> file, std::uint64_t end, bool is_cut_short);

  result<std::span<const std::byte>> view(std::uint64_t offset, std::size_t count);
  result<std::size_t> read_blocks(std::uint64_t offset);
  result<scan_step> parse_next();
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
  std::vector<std::uint64_t>
    unread_blocks_;           ///< of the window, by the offset where each begins in it: zeros there
  std::string block_trouble_; ///< why the last of them was not read
  std::string read_trouble_;
};

} // namespace cairn
