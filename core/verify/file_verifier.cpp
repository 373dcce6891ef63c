#include "core/verify/file_verifier.hpp"

#include "core/digest.hpp"

#include <algorithm>
#include <limits>

#include <fmt/format.h>

namespace cairn {

namespace {

constexpr std::size_t facts_at_once = 1'000;

/// A question for each type of record that leaves its trace under a segment's id or key.
struct question_of {
  fact_question operator()(const sequence_record& r) const {
    return {r.of.id, r.of.key(), r.sequence.sequence_num};
  }
  fact_question operator()(const final_record& r) const { return {r.of.id, r.of.key(), -1}; }
  fact_question operator()(const cancel_record& r) const { return {r.id, r.key, -1}; }
  fact_question operator()(const tombstone_record& r) const { return {r.of.id, r.of.key(), -1}; }
  fact_question operator()(const purge_record& r) const { return {r.id, r.key, -1}; }
  template <class Other>
  fact_question operator()(const Other&) const {
    return {};
  }
};

segment_info segment_of(const record_body& body) {
  if (const auto* sequence = std::get_if<sequence_record>(&body))
    return sequence->of.segment;
  if (const auto* final = std::get_if<final_record>(&body))
    return final->of.segment;
  if (const auto* tombstone = std::get_if<tombstone_record>(&body))
    return tombstone->of.segment;
  if (const auto* cancel = std::get_if<cancel_record>(&body))
    return {
      {}, {}, cancel->key.version, cancel->timestamp, cancel->key.conjoined_part, cancel->key.segment_num};
  if (const auto* step = std::get_if<conjoined_record>(&body))
    return {step->collection, step->key, step->version, step->timestamp, 0, 0};
  return {};
}

/// The attempt left no row: its key must have been somebody else's, or cancelled, or its absence is still to
/// be explained.
bool has_lost(const fact_answer& said) { return said.holder != '-' || said.is_cancelled; }

} // namespace

file_verifier::file_verifier(disk& disk, audit_session& database, const log_file& file,
                             const verify_options& options, open_questions& unexplained)
    : disk_(disk), database_(database), file_(file), options_(options), unexplained_(unexplained) {}

void file_verifier::report(verify_problem problem) {
  ++counts_.problems;
  if (options_.on_problem)
    options_.on_problem(problem);
}

void file_verifier::report(std::string what, const placement& at, const segment_info& segment,
                           std::int32_t sequence_num) {
  report({std::move(what), file_.path, at.record_offset, segment, sequence_num});
}

result<verify_counts> file_verifier::run(const std::function<void(std::uint64_t)>& on_bytes) {
  auto rows = database_.look_at(file_.id);
  if (!rows)
    return pass_failure(rows);
  rows_ = std::move(*rows);
  auto data = disk_.open_for_read(file_.path);
  if (!data)
    return pass_failure(data);
  data_ = std::move(*data);
  auto file = disk_.open_for_read(file_.path);
  if (!file)
    return pass_failure(file);
  auto end = file_.fence;
  if (!end && is_closed())
    end = rows_.row->size_bytes;
  auto scanner = log_scanner::open(std::move(*file), end);
  if (!scanner)
    return pass_failure(scanner);
  scanner_.emplace(std::move(*scanner));
  summary_.emplace(file_.id, file_.space, file_.header.creation_time);
  summary_->add_file_header(scanner_->header_block());
  if (!file_header_is_whole(scanner_->header_block()))
    report("one of the two copies of the file's header is damaged", {}, {});

  std::uint64_t told = 0;
  const auto tell = [&](std::uint64_t position) {
    on_bytes(position - told);
    told = position;
  };
  for (;;) {
    auto step = scanner_->next();
    if (!step)
      return pass_failure(step);
    if (std::holds_alternative<end_of_file>(*step))
      break;
    const auto* record = std::get_if<scanned_record>(&*step);
    auto taken = record != nullptr ? take(*record) : take_unparsed(std::get<unparsed_bytes>(*step));
    if (!taken)
      return pass_failure(taken);
    if (record != nullptr)
      tell(record->at.data_offset() + record->at.data_bytes);
  }
  if (auto checked = check_facts(); !checked)
    return pass_failure(checked);
  if (auto reported = report_missed_rows(std::numeric_limits<std::uint64_t>::max()); !reported)
    return pass_failure(reported);
  if (is_closed())
    if (auto compared = compare_with_row(); !compared)
      return pass_failure(compared);
  tell(std::max(told, file_.size_bytes));
  counts_.files = 1;
  counts_.bytes = scanner_->end();
  return counts_;
}

result<void> file_verifier::take(const scanned_record& record) {
  if (!is_closed() && record.at.lsn > rows_.position) {
    // Written after the snapshot, or lost by the database: of no interest to rows, but damage would be.
    ++counts_.waiting_records;
    return {};
  }
  ++counts_.records;
  if (!record.body) {
    summary_->add_unknown_record(record.header);
    return {};
  }
  summary_->add_record(record.header, *record.body);
  if (const auto* sequence = std::get_if<sequence_record>(&*record.body))
    return take_sequence(record, *sequence);
  facts_.push_back({*record.body, record.at});
  return facts_.size() < facts_at_once ? result<void>{} : check_facts();
}

result<bool> file_verifier::data_have_their_digest(const scanned_record& record,
                                                   const sequence_record& sequence) {
  buffer_.resize(record.at.data_bytes);
  auto got = data_->read_at(record.at.data_offset(), buffer_);
  if (!got)
    return pass_failure(got);
  if (*got != buffer_.size() || checksum_data(buffer_) != sequence.checksums)
    return false;
  md5_hasher hasher;
  hasher.update(buffer_);
  return hasher.digest() == sequence.sequence.md5;
}

result<void> file_verifier::take_sequence(const scanned_record& record, const sequence_record& sequence) {
  if (auto reported = report_missed_rows(record.at.data_offset()); !reported)
    return reported;
  auto intact = data_have_their_digest(record, sequence);
  if (!intact)
    return pass_failure(intact);
  const auto& number = sequence.sequence.sequence_num;
  if (!*intact)
    report("the data are not those that were archived", record.at, sequence.of.segment, number);
  const auto has_row = next_row_ < rows_.sequences.size()
                       && rows_.sequences[next_row_].at.data_offset_bytes == record.at.data_offset();
  if (has_row) {
    const auto& row = rows_.sequences[next_row_++];
    ++counts_.sequences;
    if (row.segment != sequence.of.id || row.at.info != sequence.sequence)
      report("its row in segment_sequence says something else", record.at, sequence.of.segment, number);
    return {};
  }
  ++counts_.garbage_records;
  counts_.garbage_bytes += record.at.header_bytes + record.at.data_bytes;
  facts_.push_back({sequence, record.at});
  return facts_.size() < facts_at_once ? result<void>{} : check_facts();
}

/// Rows that point to where the scan has found no sequence.
result<void> file_verifier::report_missed_rows(std::uint64_t before_bytes) {
  for (; next_row_ < rows_.sequences.size() && rows_.sequences[next_row_].at.data_offset_bytes < before_bytes;
       ++next_row_) {
    const auto& row = rows_.sequences[next_row_];
    auto segment = database_.segment_of(row.segment);
    if (!segment)
      return pass_failure(segment);
    report({"a row of segment_sequence points here, where no intact record of its sequence lies", file_.path,
            row.at.data_offset_bytes, *segment, row.at.info.sequence_num});
  }
  return {};
}

result<void> file_verifier::take_unparsed(const unparsed_bytes& bytes) {
  // The end of a file that is being written may be half a record; rows that point past it are reported.
  const auto may_be_unfinished = !is_closed() && !file_.fence;
  auto next = scanner_->resync();
  if (!next)
    return pass_failure(next);
  const auto nothing_follows = *next >= scanner_->end();
  if (!may_be_unfinished || !nothing_follows)
    report({fmt::format("no record parses up to byte {}: {}", *next, bytes.reason),
            file_.path,
            bytes.offset,
            {},
            -1});
  return {};
}

result<void> file_verifier::check_facts() {
  if (facts_.empty())
    return {};
  std::vector<fact_question> questions;
  for (const auto& each : facts_)
    questions.push_back(std::visit(question_of{}, each.body));
  auto answers = database_.answer(questions);
  if (!answers)
    return pass_failure(answers);
  auto rejected = database_.rejected(facts_.front().at.lsn, facts_.back().at.lsn);
  if (!rejected)
    return pass_failure(rejected);
  for (std::size_t i = 0; i < facts_.size(); ++i)
    if (!rejected->contains(facts_[i].at.lsn))
      if (auto checked = check_fact(facts_[i], (*answers)[i]); !checked)
        return checked;
  facts_.clear();
  return {};
}

namespace {

/// What is wrong with a record's trace in the rows; empty = nothing. "gone": no trace at all.
struct judgement {
  const fact_answer& said;

  std::string operator()(const sequence_record& r) const {
    // The first one brings the row into being; where it lost, the others had none to join.
    if (said.status == '-')
      return r.sequence.sequence_num != 0 || has_lost(said) ? "" : "gone";
    return said.status == 'C' || said.has_sequence ? "" : "a sequence of a segment that counts has no row";
  }
  std::string operator()(const final_record& r) const {
    if (said.status == 'A')
      return said.sequence_count < r.sequence_count ? ""
                                                    : "a final record of a segment that is active in its row";
    return said.status != 'F' || said.file == r.file
             ? ""
             : "size or digest of the final record are not in its row";
  }
  std::string operator()(const cancel_record& r) const {
    if (r.id.value != 0)
      return said.status != 'A' ? "" : "a cancel record of a segment that is active in its row";
    if (said.holder == 'A' || said.holder == 'F')
      return "gone";
    return has_lost(said) ? "" : "gone";
  }
  std::string operator()(const tombstone_record&) const {
    return said.status != '-' || has_lost(said) ? "" : "gone";
  }
  std::string operator()(const purge_record& r) const {
    return r.id.value == 0 || said.status == '-' ? "" : "a purge record of a segment that still has its row";
  }
  template <class Other>
  std::string operator()(const Other&) const {
    return {};
  }
};

} // namespace

result<void> file_verifier::check_fact(const fact& of, const fact_answer& said) {
  auto what = std::visit(judgement{said}, of.body);
  auto there = result<bool>{true};
  if (const auto* step = std::get_if<conjoined_record>(&of.body))
    there = database_.has_step(*step);
  else if (const auto* node = std::get_if<node_record>(&of.body))
    there = database_.has_node(node->node);
  else if (const auto* space = std::get_if<file_space_record>(&of.body))
    there = database_.has_space(space->space);
  if (!there)
    return pass_failure(there);
  if (!*there)
    what = fmt::format("the database knows nothing of this {} record", type_name(of.body));
  if (const auto* purge = std::get_if<purge_record>(&of.body))
    unexplained_.erase(purge->key);
  if (const auto* cancel = std::get_if<cancel_record>(&of.body); cancel != nullptr && cancel->id.value != 0)
    unexplained_.erase(cancel->key); // an attempt that a storage fault made void is forgotten
  if (what == "gone")
    unexplained_.emplace(
      std::visit(question_of{}, of.body).key,
      verify_problem{fmt::format("the database knows nothing of this {} record", type_name(of.body)),
                     file_.path, of.at.record_offset, segment_of(of.body), -1});
  else if (!what.empty())
    report(std::move(what), of.at, segment_of(of.body));
  return {};
}

result<void> file_verifier::compare_with_row() {
  const auto& row = *rows_.row;
  auto size = data_->size(); // it may have grown since the directory was read
  if (!size)
    return pass_failure(size);
  if (*size < row.size_bytes)
    report({fmt::format("the file has {} bytes, its row says {}", *size, row.size_bytes),
            file_.path,
            *size,
            {},
            -1});
  const auto found = summary_->closed_row(row.size_bytes, *row.close_time);
  if (found.hash != row.hash || found.sequence_count != row.sequence_count)
    report({"the file's headers do not give the digest and the count in its row", file_.path, 0, {}, -1});
  return {};
}

} // namespace cairn
