#include "core/read/value_file_cache.hpp"

#include "core/digest.hpp"
#include "core/log/bytes.hpp"
#include "core/log/codec.hpp"
#include "core/store/file_spaces.hpp"

#include <algorithm>
#include <new>

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
  if (!file
      && file.error().code != errc::not_found) // no descriptor left, say: that tells nothing of the file
    return fail(errc::busy, std::move(file.error().message));
  if (!file)
    return pass_failure(file);
  std::vector<std::byte> block(file_header_bytes);
  auto got = (*file)->read_at(0, block);
  if (!got)
    return fail(errc::damaged, std::move(got.error().message));
  auto header = decode_file_header(std::span(block).first(*got));
  if (!header)
    return pass_failure(header);
  if (files_.size() == max_open_files_)
    files_.pop_back();
  (*file)->expect_random_reads(); // reading ahead would make a cold read take several times as long
  files_.push_front({id, std::move(*file), header->nonce});
  return &files_.front();
}

/// @returns an empty payload when memory cannot be had
payload value_file_cache::buffer_for(std::size_t record_bytes) {
  constexpr std::size_t min_pooled_bytes = std::size_t{128} * 1024;
  constexpr std::size_t step_bytes = std::size_t{16} * 1024; // records of one size differ by the key's length
  if (record_bytes < min_pooled_bytes || record_bytes > max_idle_bytes - step_bytes)
    return payload::uninitialized(record_bytes);
  try {
    auto buffer = buffers_->take(round_up(record_bytes, step_bytes));
    buffer->bytes.resize(round_up(record_bytes, step_bytes));
    auto* const begin = reinterpret_cast<std::byte*>(buffer->bytes.data());
    return payload::part_of(std::move(buffer), {begin, record_bytes});
  } catch (const std::bad_alloc&) {
    return {};
  }
}

namespace {

/// The header's length follows from key and size, so that one read fetches header and data.
std::size_t header_bytes_of(const value_file_cache::wanted& what) {
  sequence_record shape;
  shape.of.segment.key = what.segment->key;
  shape.sequence.size_bytes = what.sequence->size_bytes;
  return record_header_bytes(shape);
}

/// What the header of the record wanted says. @error damaged: another one, or none, lies there
result<sequence_record> check_header(std::span<const std::byte> header, std::uint64_t nonce,
                                     const value_file_cache::wanted& what) {
  auto prefix = decode_record_prefix(header, nonce);
  if (!prefix)
    return pass_failure(prefix);
  auto body = decode_record(*prefix, header, {});
  if (!body)
    return pass_failure(body);
  auto* found = std::get_if<sequence_record>(&*body);
  if (found == nullptr || found->of.segment.version != what.segment->version
      || found->of.segment.segment_num != what.segment->segment_num
      || found->of.segment.conjoined_part != what.segment->conjoined_part
      || found->of.segment.key != what.segment->key || found->sequence != *what.sequence)
    return fail(errc::damaged, "another record lies where its row points");
  return std::move(*found);
}

/// The blocks of a sequence's data that hold a part of it.
struct block_span {
  std::size_t begin = 0; ///< bytes from the begin of the data
  std::size_t end = 0;
};

block_span blocks_of(const value_file_cache::data_part& part, std::size_t data_bytes) {
  if (checksum_block_count(data_bytes) == 0)
    return {0, data_bytes};
  const std::size_t part_end = std::size_t{part.offset_bytes} + part.size_bytes;
  return {part.offset_bytes / checksum_block_bytes * checksum_block_bytes,
          std::min<std::size_t>(round_up(part_end, checksum_block_bytes), data_bytes)};
}

/// @param data those blocks
bool are_intact(std::span<const std::byte> data, const block_span& blocks, const sequence_record& record) {
  if (data.size() == record.sequence.size_bytes)
    return crc32c(data) == record.checksums.crc32c;
  for (auto block = blocks.begin / checksum_block_bytes; !data.empty(); ++block) {
    const auto bytes = data.first(std::min(data.size(), checksum_block_bytes));
    if (crc32c(bytes) != record.checksums.blocks[block])
      return false;
    data = data.subspan(bytes.size());
  }
  return true;
}

/// @error damaged: the file is too short, or a block of it cannot be read
result<void> fill(const disk_file& file, std::uint64_t offset, std::span<std::byte> out) {
  auto got = file.read_at(offset, out);
  if (!got)
    return fail(errc::damaged, std::move(got.error().message));
  if (*got != out.size())
    return fail(errc::damaged, fmt::format("the file ends {} bytes before it does", out.size() - *got));
  return {};
}

} // namespace

result<payload> value_file_cache::read(const wanted& what, const data_part& part) {
  auto file = open(what.space, what.file);
  if (!file)
    return pass_failure(file);
  const auto header_bytes = header_bytes_of(what);
  if (what.data_offset_bytes < file_header_bytes + header_bytes)
    return fail(errc::damaged, "its offset lies inside the file's header");

  const auto blocks = blocks_of(part, what.sequence->size_bytes);
  const auto record_bytes = header_bytes + blocks.end - blocks.begin;
  auto record = buffer_for(record_bytes);
  if (record.size() != record_bytes)
    return fail(errc::busy, "out of memory");
  const auto bytes = record.mutable_bytes();
  const auto& source = *(*file)->file;
  // The first blocks lie right behind the header.
  const auto first_read = blocks.begin == 0 ? record_bytes : header_bytes;
  auto filled = fill(source, what.data_offset_bytes - header_bytes, bytes.first(first_read));
  if (filled && blocks.begin != 0)
    filled = fill(source, what.data_offset_bytes + blocks.begin, bytes.subspan(header_bytes));
  if (!filled)
    return pass_failure(filled);

  auto header = check_header(bytes.first(header_bytes), (*file)->nonce, what);
  if (!header)
    return pass_failure(header);
  if (!are_intact(bytes.subspan(header_bytes), blocks, *header))
    return fail(errc::damaged, "data fail their CRC-32C");
  return record.slice(header_bytes + part.offset_bytes - blocks.begin, part.size_bytes);
}

result<std::optional<placement>> value_file_cache::find_final(const wanted& last_sequence) {
  auto file = open(last_sequence.space, last_sequence.file);
  if (!file)
    return pass_failure(file);
  const auto header_bytes = header_bytes_of(last_sequence);
  if (last_sequence.data_offset_bytes < file_header_bytes + header_bytes)
    return fail(errc::damaged, "its offset lies inside the file's header");
  std::vector<std::byte> header(header_bytes);
  if (auto filled = fill(*(*file)->file, last_sequence.data_offset_bytes - header_bytes, header); !filled)
    return pass_failure(filled);
  if (auto sequence = check_header(header, (*file)->nonce, last_sequence); !sequence)
    return pass_failure(sequence);

  const auto data_end = last_sequence.data_offset_bytes + last_sequence.sequence->size_bytes;
  const auto offset = round_up(data_end, record_alignment_bytes);
  std::vector<std::byte> behind(max_record_header_bytes);
  auto got = (*file)->file->read_at(offset, behind);
  if (!got)
    return std::nullopt; // a sector that is bad may be others'
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
