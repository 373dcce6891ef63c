#pragma once
/// What rows say that only a record further on in the log can explain. Private to core/verify.

#include "core/log/record.hpp"

#include <algorithm>
#include <tuple>
#include <unordered_map>
#include <variant>
#include <vector>

namespace cairn {

/// What is strange, and which later record makes it right.
enum class doubt : std::uint8_t {
  lost,      ///< the record left no trace: until a purge of its key, or a storage fault that had it forgotten
  cancelled, ///< the final's row is cancelled: until a cancel of its key
  undone,    ///< what the cancel or purge ended has its row: until the key is archived again in that row
  other_row, ///< the row with the record's number is another one: until a record that has the number again
  no_record, ///< the row of a tombstone that no record tells of: until a tombstone that has the number again
  foreign,   ///< the row of another segment's sequence points to the record: until a repair that says so
};

struct open_question {
  doubt why = doubt::lost;
  segment_id row;
  value_file_id file; ///< of the record; 0 = no_record
  std::uint64_t record_offset = 0;
  std::int32_t sequence_num = -1;      ///< of foreign
  std::uint64_t data_offset_bytes = 0; ///< of foreign: where the row points
};

/// About 100 bytes for each that is open. How many there are depends on how far cancels and purges lie behind
/// what they end, not on the size of the log.
class open_questions {
public:
  [[nodiscard]] bool empty() const { return by_key_.empty() && by_row_.empty(); }

  void add_of_key(const segment_key& key, const open_question& question) { by_key_.emplace(key, question); }
  void add_of_row(const open_question& question) { by_row_.emplace(question.row, question); }

  /// Drops what this record makes right. Records come in the order of the log.
  void explain(const record_body& body) {
    if (const auto* sequence = std::get_if<sequence_record>(&body))
      explain_by_segment(sequence->of, false);
    else if (const auto* final = std::get_if<final_record>(&body))
      explain_by_segment(final->of, false);
    else if (const auto* tombstone = std::get_if<tombstone_record>(&body))
      explain_by_segment(tombstone->of, true);
    else if (const auto* purge = std::get_if<purge_record>(&body))
      explain_by_purge(*purge);
    else if (const auto* cancel = std::get_if<cancel_record>(&body))
      explain_by_cancel(*cancel);
    else if (const auto* repair = std::get_if<repair_record>(&body))
      explain_by_repair(*repair);
  }

  /// All that are still open, in the order of files and offsets.
  [[nodiscard]] std::vector<open_question> all() const {
    std::vector<open_question> out;
    for (const auto& [key, question] : by_key_)
      out.push_back(question);
    for (const auto& [row, question] : by_row_)
      out.push_back(question);
    std::sort(out.begin(), out.end(), [](const open_question& a, const open_question& b) {
      return std::tie(a.file, a.record_offset, a.row, a.why)
             < std::tie(b.file, b.record_offset, b.row, b.why);
    });
    return out;
  }

private:
  template <class Map, class Key, class Condition>
  static void erase(Map& from, const Key& key, Condition is_explained) {
    auto [at, end] = from.equal_range(key);
    while (at != end)
      at = is_explained(at->second) ? from.erase(at) : std::next(at);
  }

  void explain_by_segment(const segment_identity& of, bool is_tombstone) {
    erase(by_row_, of.id, [&](const open_question& q) {
      return q.why == doubt::other_row || (q.why == doubt::no_record && is_tombstone);
    });
    erase(by_key_, of.key(),
          [&](const open_question& q) { return q.why == doubt::undone && q.row == of.id; });
  }
  void explain_by_purge(const purge_record& purge) {
    if (purge.key.handoff != node_id{}) // only handoff copies are purged
      erase(by_key_, purge.key, [](const open_question& q) { return q.why == doubt::lost; });
  }
  void explain_by_cancel(const cancel_record& cancel) {
    erase(by_key_, cancel.key, [&](const open_question& q) {
      if (cancel.reason == cancel_reason::storage_fault)
        return q.why == doubt::lost; // the attempt is forgotten, and whatever lost against it
      return q.why == doubt::cancelled && (cancel.id == segment_id{} || cancel.id == q.row);
    });
  }

  void explain_by_repair(const repair_record& repair) {
    erase(by_row_, repair.of.id, [&](const open_question& q) {
      if (q.why != doubt::foreign)
        return q.why == doubt::other_row;
      const auto number = static_cast<std::size_t>(q.sequence_num);
      return number < repair.sequences.size() && repair.sequences[number].value_file == q.file
             && repair.sequences[number].data_offset_bytes == q.data_offset_bytes;
    });
  }

  std::unordered_multimap<segment_key, open_question> by_key_;
  std::unordered_multimap<segment_id, open_question> by_row_; ///< other_row, no_record, foreign
};

} // namespace cairn
