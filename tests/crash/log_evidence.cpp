#include "tests/crash/log_evidence.hpp"

#include "core/digest.hpp"
#include "core/log/codec.hpp"
#include "core/store/file_spaces.hpp"
#include "tests/harness/scratch.hpp"

#include <algorithm>
#include <filesystem>
#include <fstream>

#include <fmt/format.h>

namespace cairn::crash {

namespace {

constexpr space_id journal{1};

std::span<const std::byte> bytes_of(const std::string& text) { return std::as_bytes(std::span(text)); }

/// The version that a record acknowledges as this fact; none when it is a record of another kind.
unified_id version_in(const record_body& body, fact what) {
  switch (what) {
    case fact::final:
      if (const auto* record = std::get_if<final_record>(&body))
        return record->of.segment.version;
      break;
    case fact::tombstone:
      if (const auto* record = std::get_if<tombstone_record>(&body))
        return record->of.segment.version;
      break;
    case fact::cancel:
      if (const auto* record = std::get_if<cancel_record>(&body))
        return record->key.version;
      break;
    case fact::conjoined:
      if (const auto* record = std::get_if<conjoined_record>(&body))
        return record->version;
  }
  return {};
}

} // namespace

std::string log_evidence::path_of(value_file_id file) const {
  return value_file_path(data_directory_ + "/spaces", journal, file);
}

bool log_evidence::rot(value_file_id file, std::uint64_t offset_bytes) {
  constexpr std::int32_t newest_files = 2; // a roll-over may be under way
  if (!std::filesystem::exists(path_of(value_file_id{file.value + newest_files})))
    return false;
  std::fstream bytes(path_of(file), std::ios::binary | std::ios::in | std::ios::out);
  bytes.seekg(static_cast<std::streamoff>(offset_bytes));
  const auto changed = static_cast<char>(bytes.get() ^ 1);
  bytes.seekp(static_cast<std::streamoff>(offset_bytes));
  bytes.put(changed);
  if (!bytes.flush())
    throw harness::harness_error(fmt::format("value file {} cannot be changed", file.value));
  return true;
}

std::string log_evidence::read(value_file_id file, std::uint64_t offset_bytes, std::size_t size_bytes) const {
  std::ifstream from(path_of(file), std::ios::binary);
  std::string bytes(size_bytes, '\0');
  from.seekg(static_cast<std::streamoff>(offset_bytes));
  from.read(bytes.data(), static_cast<std::streamsize>(size_bytes));
  bytes.resize(static_cast<std::size_t>(std::max<std::streamsize>(from.gcount(), 0)));
  return bytes;
}

std::uint64_t log_evidence::nonce_of(value_file_id file) {
  const auto known = nonces_.find(file);
  if (known != nonces_.end())
    return known->second;
  const auto header = decode_file_header(bytes_of(read(file, 0, file_header_bytes)));
  if (!header)
    throw harness::harness_error(fmt::format("value file {}: {}", file.value, header.error().message));
  return nonces_[file] = header->nonce;
}

bool log_evidence::holds(value_file_id file, std::uint64_t offset_bytes, std::span<const std::byte> bytes) {
  const auto found = read(file, offset_bytes, bytes.size());
  return std::ranges::equal(bytes_of(found), bytes);
}

std::string log_evidence::objection_to(const kept_receipt& kept) {
  const auto& proof = kept.proof;
  const auto bytes = read(proof.value_file, proof.offset_bytes, proof.length_bytes);
  if (bytes.size() != proof.length_bytes || bytes.size() < record_frame_bytes)
    return fmt::format("value file {} ends before the record", proof.value_file.value);
  const auto prefix = decode_record_prefix(bytes_of(bytes), nonce_of(proof.value_file));
  if (!prefix)
    return prefix.error().message;
  if (prefix->frame.lsn != proof.lsn || prefix->header_crc32c != proof.crc32c)
    return fmt::format("another record lies there, of LSN {}", prefix->frame.lsn.value);
  if (prefix->header_bytes + prefix->data_bytes != proof.length_bytes)
    return "the record has another length";
  const auto header = bytes_of(bytes).first(prefix->header_bytes);
  const auto data = bytes_of(bytes).subspan(prefix->header_bytes);
  if (!record_header_is_intact(*prefix, header) || (!data.empty() && crc32c(data) != prefix->data_crc32c))
    return "the record's checksum differs";
  const auto body = decode_record(*prefix, header, data);
  if (!body)
    return body.error().message;
  return version_in(*body, kept.what) == kept.version ? "" : "the record is about something else";
}

} // namespace cairn::crash
