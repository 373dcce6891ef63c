#pragma once
/// Value files made by hand, one record of each type, and a reader that lists all that a scan finds.

#include "core/log/scanner.hpp"

#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace cairn {

/// A header in which every field differs from its default.
file_header sample_file_header();

/// At least one record of each type, in the order of the types: a sequence with data and one without, finals
/// with and without metadata, handoffs, keys and metadata that are not ASCII.
std::vector<record_body> sample_records();

/// A sequence of these bytes with its right digests.
sequence_record sample_sequence(std::span<const std::byte> data);

/// Every field, for comparison and for people; a sequence's payload counts by size and CRC-32C alone.
std::string describe(const record_body& body);
std::string describe(const file_header& header);

/// Composes a value file as FORMAT.md says, independently of value_log.
class log_image {
public:
  explicit log_image(const file_header& header);

  /// Appends a record; LSNs grow by one from the header's first. @returns its offset
  std::uint64_t add(const record_body& body);
  /// Appends a record of any type number, with an empty body. @returns its offset
  std::uint64_t add_raw(std::uint8_t type, std::uint8_t flags, std::span<const std::byte> data);
  /// Zeros up to the next block.
  void end_batch();

  [[nodiscard]] const std::vector<std::byte>& bytes() const { return bytes_; }

private:
  void align(std::size_t multiple);

  std::vector<std::byte> bytes_;
  record_frame frame_;
};

/// The sample records in two batches, with LSNs from sample_file_header().first_lsn.
log_image sample_log();

/// Reads from memory that the caller keeps; everything else is refused.
std::unique_ptr<disk_file> file_over(std::span<const std::byte> bytes);

/// What a whole scan finds, going on after whatever does not parse.
struct scan_findings {
  std::vector<scanned_record> records;
  std::vector<unparsed_bytes> unparsed;
  std::vector<std::uint64_t> broken_sequences; ///< record offsets of sequences whose data are not intact
  bool header_is_whole = false;
  std::optional<failure> failed; ///< ended the scan

  [[nodiscard]] bool is_clean() const {
    return header_is_whole && unparsed.empty() && broken_sequences.empty() && !failed;
  }
};
scan_findings scan_all(std::unique_ptr<disk_file> file, std::optional<std::uint64_t> end = {});

} // namespace cairn
