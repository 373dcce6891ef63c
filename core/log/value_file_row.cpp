#include "core/log/value_file_row.hpp"

#include <algorithm>

namespace cairn {

value_file_summary::value_file_summary(value_file_id id, space_id space, timestamp_us creation_time) {
  counts_.id = id;
  counts_.space = space;
  counts_.creation_time = creation_time;
}

void value_file_summary::add_file_header(std::span<const std::byte> header) { headers_.update(header); }

void value_file_summary::add_unknown_record(std::span<const std::byte> header) {
  ++record_count_;
  headers_.update(header);
}

void value_file_summary::add_record(std::span<const std::byte> header, const record_body& body) {
  add_unknown_record(header);
  if (const auto* sequence = std::get_if<sequence_record>(&body)) {
    const auto id = sequence->of.id;
    ++counts_.sequence_count;
    counts_.min_segment = counts_.min_segment == segment_id{} ? id : std::min(counts_.min_segment, id);
    counts_.max_segment = std::max(counts_.max_segment, id);
    saw(sequence->of.segment.collection);
  }
}

value_file_row value_file_summary::open_row() const { return counts_; }

value_file_row value_file_summary::closed_row(std::uint64_t size_bytes, timestamp_us close_time) const {
  auto row = counts_;
  row.close_time = close_time;
  row.size_bytes = size_bytes;
  row.hash = headers_.digest();
  row.collections.assign(collections_.begin(), collections_.end());
  return row;
}

} // namespace cairn
