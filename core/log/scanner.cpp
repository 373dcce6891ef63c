#include "core/log/scanner.hpp"

#include "core/digest.hpp"
#include "core/log/bytes.hpp"

#include <algorithm>

#include <fmt/format.h>

namespace cairn {

namespace {
constexpr std::size_t window_bytes = 256 * 1024;
}

log_scanner::log_scanner(std::unique_ptr<disk_file> file, std::uint64_t end, bool is_cut_short)
    : file_(std::move(file)), end_(end), is_cut_short_(is_cut_short) {}

result<log_scanner> log_scanner::open(std::unique_ptr<disk_file> file, std::optional<std::uint64_t> end) {
  auto size = file->size();
  if (!size)
    return pass_failure(size);
  const bool is_cut_short = end ? *size < *end : *size % disk_block_bytes != 0;
  log_scanner scanner(std::move(file), std::min(*size, end.value_or(*size)), is_cut_short);
  auto block = scanner.view(0, file_header_bytes);
  if (!block)
    return pass_failure(block);
  if (!scanner.read_trouble_.empty())
    return fail(errc::storage_error, scanner.read_trouble_);
  auto header = decode_file_header(*block);
  if (!header)
    return pass_failure(header);
  scanner.header_ = std::move(*header);
  scanner.header_block_.assign(block->begin(), block->end());
  scanner.position_ = file_header_bytes;
  return scanner;
}

/// The window's bytes block by block. One that cannot be read is zeros: no record, and no data that a
/// checksum fits.
/// @returns how many there are: fewer at the end of the file
result<std::size_t> log_scanner::read_blocks(std::uint64_t offset) {
  std::size_t unread_bytes = 0;
  for (std::size_t done = 0; done < window_.size();) {
    const auto begin = offset + done;
    const auto piece = std::span(window_).subspan(
      done, std::min<std::size_t>(window_.size() - done, disk_block_bytes - begin % disk_block_bytes));
    auto got = file_->read_at(begin, piece);
    if (got && *got < piece.size())
      return done + *got;
    if (!got) {
      std::fill(piece.begin(), piece.end(), std::byte{0});
      unread_blocks_.push_back(begin);
      unread_bytes += piece.size();
      block_trouble_ = std::move(got.error().message);
    }
    done += piece.size();
  }
  if (unread_bytes >= window_bytes && unread_bytes == window_.size())
    return fail(errc::storage_error, block_trouble_); // not a block: the device
  return window_.size();
}

/// `count` bytes at `offset`, fewer only at end_; valid until the next call.
result<std::span<const std::byte>> log_scanner::view(std::uint64_t offset, std::size_t count) {
  count = static_cast<std::size_t>(std::min<std::uint64_t>(count, end_ - std::min(offset, end_)));
  if (offset < window_offset_ || offset + count > window_offset_ + window_.size()) {
    window_.resize(static_cast<std::size_t>(
      std::min<std::uint64_t>(std::max(window_bytes, count), end_ - std::min(offset, end_))));
    unread_blocks_.clear();
    auto got = file_->read_at(offset, window_);
    if (!got)
      got = read_blocks(offset);
    if (!got) {
      window_.clear();
      return pass_failure(got);
    }
    window_.resize(*got);
    window_offset_ = offset;
    if (*got < count)
      return fail(
        errc::storage_error,
        fmt::format("value file ended at offset {} while it was read: it had {} bytes", offset + *got, end_));
  }
  if (std::any_of(unread_blocks_.begin(), unread_blocks_.end(), [&](std::uint64_t block) {
        return block < offset + count && round_up(block + 1, disk_block_bytes) > offset;
      }))
    read_trouble_ = block_trouble_;
  return std::span<const std::byte>(window_).subspan(static_cast<std::size_t>(offset - window_offset_),
                                                     count);
}

/// Where the next record would begin; no value when the bytes before it are not the zeros they should be.
result<std::optional<std::uint64_t>> log_scanner::skip_padding(std::uint64_t offset) {
  const auto aligned = std::min(round_up(offset, record_alignment_bytes), end_);
  if (aligned > offset) {
    auto alignment = view(offset, static_cast<std::size_t>(aligned - offset));
    if (!alignment)
      return pass_failure(alignment);
    if (!all_zero(*alignment) || !read_trouble_.empty())
      return std::nullopt;
    offset = aligned;
  }
  if (offset % disk_block_bytes == 0)
    return offset;
  const auto boundary = std::min(round_up(offset, disk_block_bytes), end_);
  auto rest = view(offset, static_cast<std::size_t>(boundary - offset));
  if (!rest)
    return pass_failure(rest);
  if (!read_trouble_.empty())
    return std::nullopt; // the zeros may be records
  if (!rest->empty() && !all_zero(rest->first(std::min<std::size_t>(rest->size(), record_alignment_bytes))))
    return offset;
  return all_zero(*rest) ? std::optional(boundary) : std::nullopt;
}

result<scan_step> log_scanner::next() {
  read_trouble_.clear();
  auto step = parse_next();
  if (step && !read_trouble_.empty())
    if (auto* unparsed = std::get_if<unparsed_bytes>(&*step)) {
      unparsed->is_unreadable = true;
      unparsed->reason = read_trouble_;
    }
  return step;
}

result<scan_step> log_scanner::parse_next() {
  auto begin = skip_padding(position_);
  if (!begin)
    return pass_failure(begin);
  if (!begin->has_value())
    return unparsed_bytes{position_, "padding after a record is not zero"};
  position_ = **begin;
  if (position_ >= end_ && is_cut_short_)
    return unparsed_bytes{position_, "the file is cut short"};
  if (position_ >= end_)
    return end_of_file{};
  auto step = parse_at(position_);
  if (step)
    if (const auto* record = std::get_if<scanned_record>(&*step))
      position_ = record->at.data_offset() + record->at.data_bytes;
  return step;
}

result<scan_step> log_scanner::parse_at(std::uint64_t offset) {
  auto frame = view(offset, record_frame_bytes);
  if (!frame)
    return pass_failure(frame);
  auto prefix = decode_record_prefix(*frame, header_.nonce);
  if (!prefix)
    return unparsed_bytes{offset, std::move(prefix.error().message)};
  if (offset + prefix->header_bytes + prefix->data_bytes > end_)
    return unparsed_bytes{offset, "record runs past the end of what counts in the file"};
  auto header = view(offset, prefix->header_bytes);
  if (!header)
    return pass_failure(header);
  scanned_record record;
  record.prefix = *prefix;
  record.header.assign(header->begin(), header->end());
  record.at = {prefix->frame.lsn,    header_.id,         offset,
               prefix->header_bytes, prefix->data_bytes, prefix->header_crc32c};
  if (!record_header_is_intact(*prefix, record.header))
    return unparsed_bytes{offset, "record header fails its CRC-32C"};
  if (!is_known_record_type(prefix->type) && prefix->skippable) {
    auto intact = data_is_intact(record);
    if (!intact)
      return pass_failure(intact);
    if (!*intact)
      return unparsed_bytes{offset,
                            fmt::format("data of a record of type {} fail their CRC-32C", prefix->type)};
    return scan_step{std::move(record)};
  }
  if (!is_known_record_type(prefix->type))
    return fail(
      errc::version_mismatch,
      fmt::format("value file {} holds a record of type {} at offset {}, which a newer program wrote: use it",
                  header_.id.value, prefix->type, offset));

  auto body = decode_record(*prefix, record.header, {});
  if (body && !std::holds_alternative<sequence_record>(*body) && prefix->data_bytes != 0) {
    auto data = view(record.at.data_offset(), prefix->data_bytes);
    if (!data)
      return pass_failure(data);
    if (crc32c(*data) != prefix->data_crc32c)
      return unparsed_bytes{offset, fmt::format("{} record's data fail their CRC-32C", type_name(*body))};
    body = decode_record(*prefix, record.header, *data);
  }
  if (!body)
    return unparsed_bytes{offset, std::move(body.error().message)};
  record.body = std::move(*body);
  return scan_step{std::move(record)};
}

result<std::uint64_t> log_scanner::resync() {
  auto offset = round_up(position_ + 1, record_alignment_bytes);
  while (offset + record_frame_bytes <= end_) {
    auto piece = view(offset, window_bytes);
    if (!piece)
      return pass_failure(piece);
    const auto skipped = find_record_frame(*piece, header_.nonce);
    offset += skipped;
    if (skipped + record_frame_bytes > piece->size())
      continue;
    auto step = parse_at(offset);
    if (!step)
      return pass_failure(step);
    if (std::holds_alternative<scanned_record>(*step))
      return position_ = offset;
    offset += record_alignment_bytes;
  }
  is_cut_short_ = false;
  return position_ = end_;
}

result<bool> log_scanner::data_is_intact(const scanned_record& record) {
  read_trouble_.clear();
  std::uint32_t crc = 0;
  auto offset = record.at.data_offset();
  for (std::uint64_t left = record.at.data_bytes; left != 0;) {
    auto piece = view(offset, static_cast<std::size_t>(std::min<std::uint64_t>(left, window_bytes)));
    if (!piece)
      return pass_failure(piece);
    if (piece->empty())
      return false;
    crc = crc32c(*piece, crc);
    offset += piece->size();
    left -= piece->size();
  }
  return read_trouble_.empty() && crc == record.prefix.data_crc32c;
}

} // namespace cairn
