#pragma once
/// The rules of core/db/fold.hpp over std::map: a second, plain telling of what records do to rows.

#include "core/db/stored_segment.hpp"
#include "core/log/record.hpp"

#include <map>
#include <optional>
#include <set>
#include <span>
#include <utility>
#include <vector>

namespace cairn {

class model_database {
public:
  /// Applies records in the order given.
  std::vector<fold_outcome> fold(std::span<const placed_record> records);
  /// What holds a key, as load_segment() tells it.
  [[nodiscard]] std::optional<stored_segment> load(const segment_key& key) const;

  [[nodiscard]] const std::map<segment_id, stored_segment>& segments() const { return segments_; }
  bool operator==(const model_database&) const = default;

  /// Segments known to be damaged, as table damaged_segment has them: until a repair or purge.
  std::set<segment_key> damaged;
  /// Records with these numbers are refused.
  std::set<log_sequence_number> refuse;

private:
  using rows = std::map<segment_id, stored_segment>;

  void forget_damage(const segment_key& key);
  fold_outcome apply(const sequence_record& record, const placement& at);
  fold_outcome apply(const final_record& record, const placement& at);
  fold_outcome apply(const cancel_record& record, const placement& at);
  fold_outcome apply(const tombstone_record& record, const placement& at);
  fold_outcome apply(const conjoined_record& record, const placement& at);
  fold_outcome apply(const purge_record& record, const placement& at);
  fold_outcome apply(const repair_record& record, const placement& at);
  template <class Record>
  fold_outcome apply(const Record&, const placement&) {
    return {};
  }

  rows segments_;
  std::set<segment_key> fences_;
  std::map<std::pair<unified_id, node_id>, std::pair<collection_id, std::string>> conjoined_;
};

} // namespace cairn
