#pragma once
/// Bytes of file headers and records: the only code that knows the layout of FORMAT.md.

#include "core/errc.hpp"
#include "core/log/record.hpp"

#include <cstddef>
#include <span>
#include <string>
#include <vector>

namespace cairn {

inline constexpr std::size_t file_header_bytes = 4096;
inline constexpr std::size_t record_alignment_bytes = 8;
inline constexpr std::size_t record_frame_bytes = 48; ///< part of the header that all types share
inline constexpr std::size_t max_record_header_bytes = 4096;
inline constexpr std::uint32_t max_record_data_bytes = 16U << 20U;
inline constexpr std::uint16_t log_format_version = 1;

enum class file_kind : std::uint8_t { journal = 1, compacted };

/// First block of a value file.
struct file_header {
  file_kind kind = file_kind::journal;
  value_file_id id;
  node_id node;
  std::uint64_t nonce = 0;                 ///< random; every record of the file repeats it
  log_sequence_number first_lsn;           ///< no record of a journal file has a smaller one
  value_file_id predecessor;               ///< 0 = none
  std::uint64_t predecessor_valid_end = 0; ///< nothing in the predecessor counts from here on
  timestamp_us creation_time;
  std::string cluster_name;
  std::string node_name;

  bool operator==(const file_header&) const = default;
};

/// @param header names of at most 63 bytes
std::vector<std::byte> encode_file_header(const file_header& header);
/// Of the header's two copies in its block, the first that is intact.
/// @error damaged: neither is; version_mismatch: the intact header of a format that a newer program wrote
result<file_header> decode_file_header(std::span<const std::byte> block);
/// True when both copies are intact and equal. @param block file_header_bytes
bool file_header_is_whole(std::span<const std::byte> block);

/// Fields that the log gives to every record.
struct record_frame {
  log_sequence_number lsn;
  std::uint64_t nonce = 0;
  log_sequence_number synced_lsn; ///< known to be durable when this record was written
};

/// Size of the record's header; a multiple of record_alignment_bytes.
std::size_t record_header_bytes(const record_body& body);
/// Size of the record's data, e.g. the sequence's payload or the encoded metadata. Only of a repair may it be
/// past max_record_data_bytes: of one with too many sequences.
std::size_t record_data_bytes(const record_body& body);
/// Header, data and the zeros that align the next record.
std::size_t record_total_bytes(const record_body& body);

/// Data of records other than sequences (whose data is their payload).
std::vector<std::byte> encode_record_data(const record_body& body);

/// Writes the header into `out`, which has record_header_bytes(body) bytes. A record past
/// max_record_header_bytes or max_record_data_bytes, or a sequence without its data's checksums, could not be
/// read back: a programmer's error that traps.
/// @returns the header's CRC-32C
std::uint32_t encode_record_header(const record_body& body, const record_frame& frame,
                                   std::uint32_t data_crc32c, std::span<std::byte> out);

/// The part of a header that is read first: enough to know where the record ends.
struct record_prefix {
  record_frame frame;
  std::uint32_t header_bytes = 0;
  std::uint32_t data_bytes = 0;
  std::uint32_t header_crc32c = 0;
  std::uint32_t data_crc32c = 0;
  std::uint8_t type = 0;
  bool skippable = false;
};
/// A cheap first look, for a search: the first multiple of record_alignment_bytes at which a whole frame of
/// the file with this nonce seems to begin, or else the first at which no whole frame has room any more.
std::size_t find_record_frame(std::span<const std::byte> bytes, std::uint64_t nonce);
/// @param bytes at least record_frame_bytes
/// @error damaged: no record of the file with this nonce starts here
result<record_prefix> decode_record_prefix(std::span<const std::byte> bytes, std::uint64_t nonce);

/// True when the header's bytes fit its CRC-32C.
bool record_header_is_intact(const record_prefix& prefix, std::span<const std::byte> header);

/// A whole header's fields.
/// @param data the record's data, or empty: then a final's metadata and a repair's sequences stay empty
/// @error damaged
result<record_body> decode_record(const record_prefix& prefix, std::span<const std::byte> header,
                                  std::span<const std::byte> data);
/// True when decode_record knows the type.
bool is_known_record_type(std::uint8_t type);

} // namespace cairn
