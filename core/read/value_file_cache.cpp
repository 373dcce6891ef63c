#include "core/read/value_file_cache.hpp"

#include "core/digest.hpp"
#include "core/log/codec.hpp"
#include "core/store/file_spaces.hpp"

#include <algorithm>

#include <fmt/format.h>

namespace cairn {

value_file_cache::value_file_cache(disk& disk, std::string spaces_root, std::size_t max_open_files)
    : disk_(disk), spaces_root_(std::move(spaces_root)), max_open_files_(max_open_files) {}

void value_file_cache::drop(value_file_id file) {
  files_.remove_if([file](const open_file& open) { return open.id == file; });
}

result<value_file_cache::open_file*> value_file_cache::open(space_id space, value_file_id id) {
  const auto found =
    std::find_if(files_.begin(), files_.end(), [id](const open_file& file) { return file.id == id; });
  if (found != files_.end()) {
    files_.splice(files_.begin(), files_, found);
    return &files_.front();
  }
  auto file = disk_.open_for_read(value_file_path(spaces_root_, space, id));
  if (!file)
    return pass_failure(file);
  std::vector<std::byte> block(file_header_bytes);
  auto got = (*file)->read_at(0, block);
  if (!got)
    return pass_failure(got);
  auto header = decode_file_header(std::span(block).first(*got));
  if (!header)
    return pass_failure(header);
  if (files_.size() == max_open_files_)
    files_.pop_back();
  files_.push_front({id, std::move(*file), header->nonce});
  return &files_.front();
}

namespace {

/// The header's length follows from the key, so that one read fetches header and data.
std::size_t header_bytes_of(const value_file_cache::wanted& what) {
  sequence_record shape;
  shape.of.segment.key = what.segment->key;
  return record_header_bytes(shape);
}

/// The prefix of the record wanted. @error damaged: another one, or none, lies there
result<record_prefix> check_header(std::span<const std::byte> header, std::uint64_t nonce,
                                   const value_file_cache::wanted& what) {
  auto prefix = decode_record_prefix(header, nonce);
  if (!prefix)
    return prefix;
  auto body = decode_record(*prefix, header, {});
  if (!body)
    return pass_failure(body);
  const auto* found = std::get_if<sequence_record>(&*body);
  if (found == nullptr || found->of.segment.version != what.segment->version
      || found->of.segment.segment_num != what.segment->segment_num
      || found->of.segment.conjoined_part != what.segment->conjoined_part
      || found->of.segment.key != what.segment->key || found->sequence != *what.sequence)
    return fail(errc::damaged, "another record lies where its row points");
  return prefix;
}

} // namespace

result<payload> value_file_cache::read(const wanted& what) {
  auto file = open(what.space, what.file);
  if (!file)
    return pass_failure(file);
  const auto header_bytes = header_bytes_of(what);
  if (what.data_offset_bytes < file_header_bytes + header_bytes)
    return fail(errc::damaged, "its offset lies inside the file's header");

  auto record = payload::uninitialized(header_bytes + what.sequence->size_bytes);
  if (record.size() != header_bytes + what.sequence->size_bytes)
    return fail(errc::storage_error, "out of memory");
  auto got = (*file)->file->read_at(what.data_offset_bytes - header_bytes, record.mutable_bytes());
  if (!got)
    return pass_failure(got);
  if (*got != record.size())
    return fail(errc::damaged, fmt::format("the file ends {} bytes before it does", record.size() - *got));

  const auto prefix = check_header(record.bytes().first(header_bytes), (*file)->nonce, what);
  if (!prefix)
    return tl::unexpected(prefix.error());
  if (crc32c(record.bytes().subspan(header_bytes)) != prefix->data_crc32c)
    return fail(errc::damaged, "data fail their CRC-32C");
  return record.slice(header_bytes, what.sequence->size_bytes);
}

result<std::optional<placement>> value_file_cache::find_final(const wanted& last_sequence) {
  auto file = open(last_sequence.space, last_sequence.file);
  if (!file)
    return pass_failure(file);
  const auto header_bytes = header_bytes_of(last_sequence);
  if (last_sequence.data_offset_bytes < file_header_bytes + header_bytes)
    return fail(errc::damaged, "its offset lies inside the file's header");
  std::vector<std::byte> header(header_bytes);
  auto got = (*file)->file->read_at(last_sequence.data_offset_bytes - header_bytes, header);
  if (!got)
    return pass_failure(got);
  if (*got != header.size())
    return fail(errc::damaged, "the file ends inside its header");
  if (const auto sequence = check_header(header, (*file)->nonce, last_sequence); !sequence)
    return tl::unexpected(sequence.error());

  const auto data_end = last_sequence.data_offset_bytes + last_sequence.sequence->size_bytes;
  const auto offset =
    (data_end + record_alignment_bytes - 1) / record_alignment_bytes * record_alignment_bytes;
  std::vector<std::byte> behind(max_record_header_bytes);
  got = (*file)->file->read_at(offset, behind);
  if (!got)
    return pass_failure(got);
  behind.resize(*got);
  if (behind.size() < record_frame_bytes)
    return std::nullopt;
  const auto prefix = decode_record_prefix(behind, (*file)->nonce);
  if (!prefix || prefix->header_bytes > behind.size())
    return std::nullopt;
  const auto body = decode_record(*prefix, std::span(behind).first(prefix->header_bytes), {});
  const auto* final = body ? std::get_if<final_record>(&*body) : nullptr;
  if (final == nullptr || final->of.segment != *last_sequence.segment)
    return std::nullopt;
  return placement{prefix->frame.lsn,    last_sequence.file, offset,
                   prefix->header_bytes, prefix->data_bytes, prefix->header_crc32c};
}

} // namespace cairn
