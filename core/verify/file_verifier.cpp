#include "core/verify/file_verifier.hpp"

#include "core/digest.hpp"

#include <algorithm>
#include <limits>

#include <fmt/format.h>

namespace cairn {

namespace {

segment_info segment_of(const segment_key& key, timestamp_us timestamp) {
  return {{}, {}, key.version, timestamp, key.conjoined_part, key.segment_num};
}

} // namespace

segment_info segment_of(const record_body& body) {
  if (const auto* sequence = std::get_if<sequence_record>(&body))
    return sequence->of.segment;
  if (const auto* final = std::get_if<final_record>(&body))
    return final->of.segment;
  if (const auto* tombstone = std::get_if<tombstone_record>(&body))
    return tombstone->of.segment;
  if (const auto* cancel = std::get_if<cancel_record>(&body))
    return segment_of(cancel->key, cancel->timestamp);
  if (const auto* purge = std::get_if<purge_record>(&body))
    return segment_of(purge->key, purge->timestamp);
  if (const auto* repair = std::get_if<repair_record>(&body))
    return repair->of.segment;
  if (const auto* step = std::get_if<conjoined_record>(&body))
    return {step->collection, step->key, step->version, step->timestamp, 0, 0};
  return {};
}

file_verifier::file_verifier(disk& disk, audit_session& database, row_snapshot& rows, const log_file& file,
                             const verify_options& options, run_memory& memory)
    : disk_(disk), database_(database), rows_(rows), file_(file), options_(options), memory_(memory) {}

void file_verifier::report(verify_problem problem) {
  ++counts_.problems;
  if (options_.on_problem)
    options_.on_problem(problem);
}

void file_verifier::report(std::string what, const placement& at, const segment_info& segment,
                           std::int32_t sequence_num) {
  report({std::move(what), file_.path, at.record_offset, segment, sequence_num});
}

void file_verifier::report_file(std::string what, std::uint64_t offset) {
  report({std::move(what), file_.path, offset, {}, -1});
}

result<verify_counts> file_verifier::run(const std::optional<failure>& trouble,
                                         const std::function<void(std::uint64_t)>& on_bytes) {
  if (auto looked = look(); !looked)
    return pass_failure(looked);
  if (auto opened = open(trouble); !opened) {
    if (opened.error().code == errc::version_mismatch)
      return pass_failure(opened);
    report_unreadable(opened.error());
    return counts_;
  }
  auto read_all = scan(on_bytes);
  if (!read_all)
    return pass_failure(read_all);
  if (auto checked = check_facts(); !checked)
    return pass_failure(checked);
  if (*read_all) {
    if (auto reported = report_missed_rows(std::numeric_limits<std::uint64_t>::max()); !reported)
      return pass_failure(reported);
    if (is_closed())
      compare_with_row();
  }
  counts_.files = 1;
  counts_.bytes = *read_all ? scanner_->end() : scanned_end_;
  return counts_;
}

/// Readers find a value file by its row.
result<void> file_verifier::look() {
  auto position = rows_.take();
  if (!position)
    return pass_failure(position);
  position_ = *position;
  auto row = database_.look_at(file_.id);
  if (!row)
    return pass_failure(row);
  file_row_ = std::move(*row);
  if (!file_row_.row && !file_row_.sequences.empty())
    report_file(fmt::format("{} rows of segment_sequence point into this file, which has no row in "
                            "value_file: they cannot be read",
                            file_row_.sequences.size()));
  if (file_row_.row && file_row_.row->space != file_.space)
    report_file(
      fmt::format("the file lies in space {}, its row in value_file says {}: nothing in it can be read",
                  file_.space.value, file_row_.row->space.value));
  return {};
}

result<void> file_verifier::open(const std::optional<failure>& trouble) {
  if (trouble)
    return tl::unexpected(*trouble);
  auto data = disk_.open_for_read(file_.path);
  if (!data)
    return pass_failure(data);
  data_ = std::move(*data);
  auto file = disk_.open_for_read(file_.path);
  if (!file)
    return pass_failure(file);
  auto end = file_.fence;
  if (!end && is_closed())
    end = file_row_.row->size_bytes;
  auto scanner = log_scanner::open(std::move(*file), end);
  if (!scanner)
    return pass_failure(scanner);
  scanner_.emplace(std::move(*scanner));
  scanned_end_ = file_header_bytes;
  summary_.emplace(file_.id, file_.space, file_.header.creation_time);
  summary_->add_file_header(scanner_->header_block());
  if (!file_header_is_whole(scanner_->header_block()))
    report_file("one of the two copies of the file's header is damaged");
  return {};
}

void file_verifier::report_unreadable(const failure& why) {
  // A file that never held anything goes away when the node stops.
  if (why.code == errc::not_found && file_row_.sequences.empty()
      && !(is_closed() && file_row_.row->size_bytes > file_header_bytes))
    return;
  counts_.files = 1;
  report_file(fmt::format("the file cannot be read: {}: {}", to_string(why.code), why.message));
}

/// @returns whether the file could be read to its end
result<bool> file_verifier::scan(const std::function<void(std::uint64_t)>& on_bytes) {
  std::uint64_t told = 0;
  const auto tell = [&](std::uint64_t position) { on_bytes(position - std::exchange(told, position)); };
  for (;;) {
    auto step = scanner_->next();
    if (!step)
      return give_up(step.error());
    if (std::holds_alternative<end_of_file>(*step)) {
      tell(std::max(told, file_.size_bytes));
      return true;
    }
    if (const auto* bytes = std::get_if<unparsed_bytes>(&*step)) {
      auto next = scanner_->resync();
      if (!next)
        return give_up(next.error());
      take_unparsed(*bytes, *next);
      continue;
    }
    const auto& record = std::get<scanned_record>(*step);
    if (auto taken = take(record); !taken)
      return pass_failure(taken);
    scanned_end_ = record.at.data_offset() + record.at.data_bytes;
    tell(scanned_end_);
  }
}

/// A disk that does not give the rest of the file is no reason to leave out the others.
result<bool> file_verifier::give_up(failure& why) {
  if (why.code != errc::storage_error)
    return tl::unexpected(std::move(why));
  report_file(fmt::format("from here on the file cannot be read: {}: {}", to_string(why.code), why.message),
              scanned_end_);
  return false;
}

result<void> file_verifier::take(const scanned_record& record) {
  if (record.body)
    summary_->add_record(record.header, *record.body);
  else
    summary_->add_unknown_record(record.header);
  if (record.body)
    if (auto noted = note_birth(*record.body); !noted)
      return noted;
  // A closed row says that all records of the file are in the rows, even if the position does not.
  const auto is_in_rows = record.at.lsn <= position_ || (is_closed() && record.at.lsn > file_row_.position);
  if (!is_in_rows) {
    // Written after the snapshot, or lost by the database: of no interest to rows, but damage would be.
    ++counts_.waiting_records;
    if (record.body && std::holds_alternative<repair_record>(*record.body))
      memory_.unexplained.explain(*record.body); // of rows in the second one
    if (record.at.lsn > file_row_.position)
      return {};
    auto passed = pass_row(record.at); // it came between the two snapshots
    return passed ? result<void>{} : pass_failure(passed);
  }
  ++counts_.records;
  if (!record.body)
    return {};
  if (const auto* sequence = std::get_if<sequence_record>(&*record.body))
    return take_sequence(record, *sequence);
  return add_fact({*record.body, record.at});
}

/// @returns whether the next row points at this record's data, and is behind now
result<bool> file_verifier::pass_row(const placement& at) {
  if (auto reported = report_missed_rows(at.data_offset()); !reported)
    return pass_failure(reported);
  const auto has_row = next_row_ < file_row_.sequences.size()
                       && file_row_.sequences[next_row_].at.data_offset_bytes == at.data_offset();
  next_row_ += has_row ? 1 : 0;
  return has_row;
}

std::string file_verifier::complain_of_data(const scanned_record& record, const sequence_record& sequence) {
  buffer_.resize(record.at.data_bytes);
  auto got = data_->read_at(record.at.data_offset(), buffer_);
  if (!got)
    return fmt::format("the data cannot be read: {}: {}", to_string(got.error().code), got.error().message);
  constexpr auto changed = "the data are not those that were archived";
  if (*got != buffer_.size() || checksum_data(buffer_) != sequence.checksums)
    return changed;
  md5_hasher hasher;
  hasher.update(buffer_);
  return hasher.digest() == sequence.sequence.md5 ? "" : changed;
}

result<void> file_verifier::take_sequence(const scanned_record& record, const sequence_record& sequence) {
  const auto& number = sequence.sequence.sequence_num;
  auto has_row = pass_row(record.at);
  if (!has_row)
    return pass_failure(has_row);
  if (auto complaint = complain_of_data(record, sequence); !complaint.empty())
    report(*has_row ? complaint : complaint + " (no row points here)", record.at, sequence.of.segment,
           number);
  if (!*has_row) {
    ++counts_.garbage_records;
    counts_.garbage_bytes += record.at.header_bytes + record.at.data_bytes;
    return add_fact({sequence, record.at});
  }
  const auto& row = file_row_.sequences[next_row_ - 1];
  ++counts_.sequences;
  if (row.at.info != sequence.sequence)
    report("its row in segment_sequence says something else", record.at, sequence.of.segment, number);
  else if (row.segment != sequence.of.id)
    memory_.unexplained.add_of_row(
      {doubt::foreign, row.segment, file_.id, record.at.record_offset, number, record.at.data_offset()});
  return number == 0 ? add_fact({sequence, record.at, true}) : result<void>{};
}

/// Rows that point to where the scan has found no sequence.
result<void> file_verifier::report_missed_rows(std::uint64_t before_bytes) {
  const auto& rows = file_row_.sequences;
  for (; next_row_ < rows.size() && rows[next_row_].at.data_offset_bytes < before_bytes; ++next_row_) {
    const auto& row = rows[next_row_];
    auto segment = database_.segment_of(row.segment);
    if (!segment)
      return pass_failure(segment);
    report({"a row of segment_sequence points here, where no intact record of its sequence lies", file_.path,
            row.at.data_offset_bytes, *segment, row.at.info.sequence_num});
  }
  return {};
}

void file_verifier::take_unparsed(const unparsed_bytes& bytes, std::uint64_t next) {
  // The end of a file that is being written may be half a record; rows that point past it are reported.
  const auto may_be_unfinished =
    !is_closed() && !file_.fence && !bytes.is_unreadable && next >= scanner_->end();
  if (!may_be_unfinished)
    report_file(fmt::format("no record parses up to byte {}: {}", next, bytes.reason), bytes.offset);
}

void file_verifier::compare_with_row() {
  const auto& row = *file_row_.row;
  auto size = data_->size(); // it may have grown since the directory was read
  if (!size)
    report_file(fmt::format("the file's size cannot be read: {}", size.error().message));
  else if (*size < row.size_bytes)
    report_file(fmt::format("the file has {} bytes, its row says {}", *size, row.size_bytes), *size);
  const auto found = summary_->closed_row(row.size_bytes, *row.close_time);
  if (found.hash != row.hash || found.sequence_count != row.sequence_count)
    report_file("the file's headers do not give the digest and the count in its row");
}

} // namespace cairn
