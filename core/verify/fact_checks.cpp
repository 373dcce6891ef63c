#include "core/verify/file_verifier.hpp"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

/// The part of the file verifier that compares what records say with what their rows do.

namespace cairn {

namespace {

constexpr std::size_t facts_at_once = 1'000;
constexpr std::size_t meta_bytes_at_once = 1U << 20U;
constexpr std::size_t max_foreign_tombstones = 1'000; ///< that are reported of one batch

/// A question for each type of record that leaves its trace under a segment's id or key.
struct question_of {
  row_question operator()(const sequence_record& r) const {
    return {r.of.id, r.of.key(), r.sequence.sequence_num, false};
  }
  row_question operator()(const final_record& r) const { return {r.of.id, r.of.key(), -1, true}; }
  row_question operator()(const cancel_record& r) const { return {r.id, r.key, -1, false}; }
  row_question operator()(const tombstone_record& r) const { return {r.of.id, r.of.key(), -1, false}; }
  row_question operator()(const purge_record& r) const { return {{}, r.key, -1, false}; }
  row_question operator()(const repair_record& r) const { return {r.of.id, r.of.key(), -1, true}; }
  template <class Other>
  row_question operator()(const Other&) const {
    return {};
  }
};

/// The attempt left no row: its key must have been somebody else's, or cancelled, or its absence is still to
/// be explained.
bool has_lost(const row_answer& said) {
  return said.holder != segment_id{} || said.has_cancelled_row || said.is_fenced;
}

std::size_t bytes_of(const metadata& meta) {
  std::size_t bytes = 0;
  for (const auto& [key, value] : meta)
    bytes += key.size() + value.size();
  return bytes;
}

} // namespace

result<void> file_verifier::add_fact(fact of) {
  if (const auto* final = std::get_if<final_record>(&of.body)) {
    meta_bytes_ += bytes_of(final->meta);
    // What the segment's row has to say to its first sequence, it has to say to the final.
    const auto* first = facts_.empty() ? nullptr : std::get_if<sequence_record>(&facts_.back().body);
    if (first != nullptr && facts_.back().has_row && first->of == final->of)
      facts_.pop_back();
  }
  if (const auto* repair = std::get_if<repair_record>(&of.body))
    meta_bytes_ += bytes_of(repair->meta) + repair->sequences.size() * sizeof(stored_sequence);
  facts_.push_back(std::move(of));
  return facts_.size() < facts_at_once && meta_bytes_ < meta_bytes_at_once ? result<void>{} : check_facts();
}

result<void> file_verifier::check_facts() {
  if (!facts_.empty()) {
    std::vector<row_question> questions;
    for (const auto& each : facts_)
      questions.push_back(std::visit(question_of{}, each.body));
    auto answers = rows_.answer(questions);
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
    meta_bytes_ = 0;
  }
  return check_tombstone_rows();
}

result<void> file_verifier::check_fact(const fact& of, const row_answer& said) {
  memory_.unexplained.explain(of.body);
  std::visit([&](const auto& record) { judge(record, of, said); }, of.body);
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
    report(fmt::format("the database knows nothing of this {} record", type_name(of.body)), of.at,
           segment_of(of.body));
  return {};
}

void file_verifier::doubt_key(doubt why, const segment_key& key, segment_id row, const placement& at) {
  memory_.unexplained.add_of_key(key, {why, row, file_.id, at.record_offset});
}

/// The row that the record has, if it is the segment's in every column that never changes.
const stored_segment* file_verifier::own_row(const segment_identity& of, bool is_tombstone,
                                             const placement& at, const row_answer& said) {
  if (!said.row)
    return nullptr;
  const auto& row = *said.row;
  if (row.segment == of.segment && row.nodes == of.nodes
      && (row.status == segment_status::tombstone) == is_tombstone)
    return &row;
  memory_.unexplained.add_of_row({doubt::other_row, of.id, file_.id, at.record_offset});
  return nullptr;
}

void file_verifier::judge(const sequence_record& record, const fact& of, const row_answer& said) {
  const auto* row = own_row(record.of, false, of.at, said);
  if (of.has_row)
    return;
  if (row == nullptr) {
    // The first one brings the row into being; where it lost, the others had none to join.
    if (record.sequence.sequence_num == 0 && !has_lost(said))
      doubt_key(doubt::lost, record.of.key(), record.of.id, of.at);
  } else if (row->status != segment_status::cancelled && !said.has_sequence) {
    report("a sequence of a segment that counts has no row", of.at, record.of.segment,
           record.sequence.sequence_num);
  }
}

void file_verifier::judge(const final_record& record, const fact& of, const row_answer& said) {
  const auto* row = own_row(record.of, false, of.at, said);
  if (row == nullptr)
    return;
  const auto& segment = record.of.segment;
  switch (row->status) {
    case segment_status::active:
      if (said.sequence_count >= record.sequence_count)
        report(fmt::format("a {} record of a segment that is active in its row", type_name(of.body)), of.at,
               segment);
      break;
    case segment_status::final:
      if (row->file != record.file)
        report(fmt::format("size or digest of the {} record are not in its row", type_name(of.body)), of.at,
               segment);
      if (row->meta != record.meta)
        report(fmt::format("the metadata of the {} record are not in the rows", type_name(of.body)), of.at,
               segment);
      break;
    case segment_status::cancelled: doubt_key(doubt::cancelled, record.of.key(), record.of.id, of.at); break;
    case segment_status::tombstone: break; // own_row() has it
  }
}

void file_verifier::judge(const cancel_record& record, const fact& of, const row_answer& said) {
  const auto is_final = [](segment_status status) { return status == segment_status::final; };
  const auto is_active = [](segment_status status) { return status == segment_status::active; };
  const auto is_held = said.holder != segment_id{};
  if (record.id == segment_id{}) {
    if (is_held && (is_active(said.holder_status) || is_final(said.holder_status)))
      doubt_key(doubt::undone, record.key, said.holder, of.at);
    else if (!has_lost(said))
      doubt_key(doubt::lost, record.key, {}, of.at);
    return;
  }
  const auto is_fault = record.reason == cancel_reason::storage_fault;
  const auto has_row = said.row && key_of(said.row->segment, said.row->nodes.handoff) == record.key;
  if (has_row && (is_active(said.row->status) || (is_final(said.row->status) && !is_fault)))
    doubt_key(doubt::undone, record.key, record.id, of.at);
  else if (!is_fault && !has_lost(said))
    doubt_key(doubt::lost, record.key, record.id, of.at);
}

void file_verifier::judge(const tombstone_record& record, const fact& of, const row_answer& said) {
  const auto* row = own_row(record.of, true, of.at, said);
  if (row != nullptr && row->deletes != record.deletes)
    report("the row of the tombstone deletes something else", of.at, record.of.segment);
  // A fence keeps no tombstone out.
  if (row == nullptr && said.holder == segment_id{} && !said.has_cancelled_row)
    doubt_key(doubt::lost, record.of.key(), record.of.id, of.at);
}

void file_verifier::judge(const purge_record& record, const fact& of, const row_answer& said) {
  if (record.key.handoff != node_id{} && said.holder != segment_id{}
      && said.holder_status != segment_status::active)
    doubt_key(doubt::undone, record.key, said.holder, of.at);
}

void file_verifier::judge(const repair_record& record, const fact& of, const row_answer& said) {
  // Where its sequences lie is seen where their rows are.
  judge(final_record{record.of, record.file, 0, 0, record.meta}, of, said);
  if (!said.row)
    doubt_key(doubt::lost, record.of.key(), record.of.id, of.at);
}

// --- rows without records ---

result<void> file_verifier::note_birth(const record_body& body) {
  segment_id born;
  if (const auto* sequence = std::get_if<sequence_record>(&body);
      sequence != nullptr && sequence->sequence.sequence_num == 0)
    born = sequence->of.id;
  if (const auto* tombstone = std::get_if<tombstone_record>(&body)) {
    born = tombstone->of.id;
    tombstones_.insert(born);
  }
  if (const auto* repair = std::get_if<repair_record>(&body)) // its first records may be lost
    memory_.newest_birth = std::max(memory_.newest_birth, repair->of.id);
  if (born == segment_id{})
    return {};
  if (!memory_.tombstones_up_to)
    memory_.tombstones_up_to = segment_id{born.value - 1};
  memory_.newest_birth = std::max(memory_.newest_birth, born);
  return tombstones_.size() < facts_at_once ? result<void>{} : check_tombstone_rows();
}

/// Ids grow along the log: up to the newest, rows of tombstones are those of the tombstones met.
result<void> file_verifier::check_tombstone_rows() {
  const auto met = std::exchange(tombstones_, {});
  if (!memory_.tombstones_up_to || memory_.newest_birth <= *memory_.tombstones_up_to)
    return {};
  const auto after = std::exchange(*memory_.tombstones_up_to, memory_.newest_birth);
  auto rows = rows_.tombstones(after, memory_.newest_birth, met.size() + max_foreign_tombstones);
  if (!rows)
    return pass_failure(rows);
  for (const auto row : *rows)
    if (!met.contains(row))
      memory_.unexplained.add_of_row({doubt::no_record, row, {}, 0});
  return {};
}

} // namespace cairn
