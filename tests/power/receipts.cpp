#include "tests/power/receipts.hpp"

#include "core/log/codec.hpp"
#include "core/store/file_spaces.hpp"

#include <numeric>

#include <fmt/format.h>

namespace cairn::power {

namespace {

constexpr space_id journal{1};

} // namespace

const std::vector<std::byte>& receipts::bytes_of(value_file_id file) const {
  const auto [found, is_new] = files_.try_emplace(file);
  if (!is_new)
    return found->second;
  auto opened = disk_.open_for_read(value_file_path(spaces_root_, journal, file));
  if (!opened)
    return found->second; // empty
  const auto size = (*opened)->size();
  found->second.resize(size ? *size : 0);
  if (!(*opened)->read_at(0, found->second))
    found->second.clear();
  return found->second;
}

result<record_body> receipts::read(const receipt& proof) const {
  const auto& file = bytes_of(proof.value_file);
  if (file.size() < file_header_bytes || proof.offset_bytes + proof.length_bytes > file.size()
      || proof.length_bytes < record_frame_bytes)
    return fail(errc::not_found, "its bytes are not there");
  const auto header = decode_file_header(std::span(file).first(file_header_bytes));
  if (!header)
    return tl::unexpected(header.error());
  const auto bytes = std::span(file).subspan(proof.offset_bytes, proof.length_bytes);
  const auto prefix = decode_record_prefix(bytes, header->nonce);
  if (!prefix)
    return tl::unexpected(prefix.error());
  if (prefix->frame.lsn != proof.lsn || prefix->header_crc32c != proof.crc32c
      || prefix->header_bytes + prefix->data_bytes != proof.length_bytes)
    return fail(errc::damaged, "another record is there");
  if (!record_header_is_intact(*prefix, bytes.first(prefix->header_bytes)))
    return fail(errc::damaged, "the record's checksum is wrong");
  return decode_record(*prefix, bytes.first(prefix->header_bytes), bytes.subspan(prefix->header_bytes));
}

template <class Record, class Fits>
std::string receipts::check(const receipt& proof, Fits&& fits) const {
  auto body = read(proof);
  if (!body)
    return body.error().message;
  const auto* record = std::get_if<Record>(&*body);
  return record != nullptr && fits(*record)
           ? std::string{}
           : fmt::format("a {} record of something else is there", type_name(*body));
}

std::string receipts::check_final(const receipt& proof, const upload& of) const {
  const auto total =
    std::accumulate(of.data.begin(), of.data.end(), std::uint64_t{0},
                    [](std::uint64_t sum, const payload& data) { return sum + data.size(); });
  return check<final_record>(proof, [&](const final_record& record) {
    return record.of.segment == of.segment && record.file == of.file && record.meta == of.meta
           && record.sequence_count == static_cast<std::int32_t>(of.data.size())
           && record.total_bytes == total;
  });
}

std::string receipts::check_cancel(const receipt& proof, const upload& of) const {
  return check<cancel_record>(proof, [&](const cancel_record& record) {
    return record.key.version == of.segment.version && record.key.conjoined_part == of.segment.conjoined_part
           && record.key.segment_num == of.segment.segment_num;
  });
}

std::string receipts::check_tombstone(const receipt& proof, const tombstone& of) const {
  return check<tombstone_record>(proof, [&](const tombstone_record& record) {
    return record.of.segment.version == of.message.version && record.of.segment.key == of.message.key
           && record.deletes == of.message.deletes;
  });
}

std::string receipts::check_conjoined(const receipt& proof, const conjoined& of) const {
  return check<conjoined_record>(proof, [&](const conjoined_record& record) {
    return record.version == of.version && record.collection == of.collection && record.key == of.key;
  });
}

std::string list_value_files(memory_disk& disk, const std::string& spaces_root) {
  std::string text;
  for (value_file_id id{1}; id.value < 1'000; ++id.value) {
    auto file = disk.open_for_read(value_file_path(spaces_root, journal, id));
    if (!file)
      continue;
    std::vector<std::byte> block(file_header_bytes);
    const auto size = (*file)->size();
    const auto read = (*file)->read_at(0, block);
    const auto header = decode_file_header(block);
    if (size && read && header)
      text +=
        fmt::format("value file {} first_lsn={} predecessor={} valid_end={} size={}\n", id.value,
                    header->first_lsn.value, header->predecessor.value, header->predecessor_valid_end, *size);
    else
      text += fmt::format("value file {} without a header\n", id.value);
  }
  return text;
}

} // namespace cairn::power
