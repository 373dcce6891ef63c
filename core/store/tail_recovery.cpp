#include "core/store/tail_recovery.hpp"

#include <algorithm>

#include <fmt/format.h>
#include <spdlog/spdlog.h>

namespace cairn {

namespace {

/// The highest LSN that any record of the file knows to be synced.
result<log_sequence_number> synced_by_own_word(disk& disk, const log_file& file) {
  auto scanner = log_directory::open(disk, file);
  if (!scanner)
    return pass_failure(scanner);
  log_sequence_number synced;
  for (;;) {
    auto step = scanner->next();
    if (!step)
      return pass_failure(step);
    if (std::holds_alternative<end_of_file>(*step))
      return synced;
    if (const auto* record = std::get_if<scanned_record>(&*step)) {
      synced = std::max(synced, record->prefix.frame.synced_lsn);
    } else if (auto at = scanner->resync(); !at) {
      return pass_failure(at);
    }
  }
}

std::int64_t row_id_of(const record_body& body) {
  if (const auto* sequence = std::get_if<sequence_record>(&body))
    return sequence->of.id.value;
  if (const auto* tombstone = std::get_if<tombstone_record>(&body))
    return tombstone->of.id.value;
  if (const auto* conjoined = std::get_if<conjoined_record>(&body))
    return conjoined->row_id;
  return 0;
}

/// A torn tail is cut off for good; what the disk merely did not give must not be.
tl::unexpected<failure> end_is_not_known(const log_file& file, std::uint64_t offset, const std::string& why) {
  return fail(
    errc::storage_error,
    fmt::format("whether the log ends in value file {} at offset {} is not known, as a block there cannot be "
                "read ({}): restore the file, or run `cairn rebuild` to go on with what can be read",
                file.path, offset, why));
}

} // namespace

result<recovered_file> recover_file(disk& disk, const log_file& file, log_sequence_number known_synced,
                                    timestamp_us close_time, log_gaps gaps) {
  // A successor exists only when all that counts of this file was durable before.
  const auto is_last = !file.fence.has_value();
  if (is_last) {
    auto own = synced_by_own_word(disk, file);
    if (!own)
      return pass_failure(own);
    known_synced = std::max(known_synced, *own);
  }

  auto scanner = log_directory::open(disk, file);
  if (!scanner)
    return pass_failure(scanner);
  value_file_summary summary(file.id, file.space, file.header.creation_time);
  summary.add_file_header(scanner->header_block());
  recovered_file out;
  if (!file_header_is_whole(scanner->header_block())) {
    ++out.damaged_regions;
    spdlog::error("log_damaged file={} offset_bytes=0 reason=\"one of the two copies of its header\"",
                  file.path);
  }
  out.last_lsn = log_sequence_number{file.header.first_lsn.value - 1};
  auto valid_end = scanner->end();
  for (bool at_end = false; !at_end;) {
    auto step = scanner->next();
    if (!step)
      return pass_failure(step);
    const auto may_be_torn = is_last && out.last_lsn >= known_synced;
    if (std::holds_alternative<end_of_file>(*step)) {
      at_end = true;
    } else if (const auto* unparsed = std::get_if<unparsed_bytes>(&*step)) {
      if (may_be_torn && unparsed->is_unreadable && gaps == log_gaps::refuse)
        return end_is_not_known(file, unparsed->offset, unparsed->reason);
      if (may_be_torn && !unparsed->is_unreadable) {
        valid_end = unparsed->offset;
        at_end = true;
        continue;
      }
      auto at = scanner->resync();
      if (!at)
        return pass_failure(at);
      ++out.damaged_regions;
      out.lost.push_back({file.id, unparsed->offset, *at});
      spdlog::error("log_damaged file={} offset_bytes={} next_record_at={} reason=\"{}\"", file.path,
                    unparsed->offset, *at, unparsed->reason);
    } else {
      const auto& record = std::get<scanned_record>(*step);
      if (may_be_torn && record.body && std::holds_alternative<sequence_record>(*record.body)) {
        auto intact = scanner->data_is_intact(record);
        if (!intact)
          return pass_failure(intact);
        const auto is_unreadable = !*intact && !scanner->read_trouble().empty();
        if (is_unreadable && gaps == log_gaps::refuse)
          return end_is_not_known(file, record.at.data_offset(), scanner->read_trouble());
        if (!*intact && !is_unreadable) {
          valid_end = record.at.record_offset;
          at_end = true;
          continue;
        }
      }
      out.last_lsn = record.at.lsn;
      if (!record.body) {
        summary.add_unknown_record(record.header);
        continue;
      }
      out.max_row_id = std::max(out.max_row_id, row_id_of(*record.body));
      summary.add_record(record.header, *record.body);
    }
  }
  out.torn_bytes = scanner->end() - valid_end;
  out.row = summary.closed_row(valid_end, close_time);
  out.has_records = summary.has_records();

  auto repair = disk.open_for_repair(file.path);
  if (!repair)
    return pass_failure(repair);
  // What parses may still be in memory only: no row may point at it before it is durable.
  if (auto synced = (*repair)->sync(); !synced)
    return pass_failure(synced);
  (void)(*repair)->release_preallocation();
  return out;
}

} // namespace cairn
