#include "tests/support/model_database.hpp"

#include <algorithm>

namespace cairn {

namespace {

using kind = fold_outcome::kind;

segment_key key_of_row(const stored_segment& row) { return key_of(row.segment, row.nodes.handoff); }

} // namespace

std::vector<fold_outcome> model_database::fold(std::span<const placed_record> records) {
  std::vector<fold_outcome> outcomes;
  for (const auto& record : records) {
    if (refuse.contains(record.at.lsn))
      outcomes.push_back({kind::refused, "refused by the test", {}});
    else
      outcomes.push_back(std::visit([&](const auto& body) { return apply(body, record.at); }, record.body));
  }
  return outcomes;
}

std::optional<stored_segment> model_database::load(const segment_key& key) const {
  const stored_segment* cancelled = nullptr;
  for (const auto& [id, row] : segments_) {
    if (key_of_row(row) != key)
      continue;
    if (row.status != segment_status::cancelled) {
      auto live = row;
      live.is_damaged = live.status == segment_status::final && damaged.contains(key);
      return live;
    }
    cancelled = &row; // the one with the largest id comes last
  }
  if (cancelled != nullptr)
    return *cancelled;
  if (!fences_.contains(key))
    return std::nullopt;
  stored_segment fence;
  fence.status = segment_status::cancelled;
  fence.segment.version = key.version;
  return fence;
}

fold_outcome model_database::apply(const sequence_record& record, const placement& at) {
  auto found = segments_.find(record.of.id);
  if (record.sequence.sequence_num == 0 && found == segments_.end()) {
    if (load(record.of.key()))
      return {kind::lost, {}, {}};
    stored_segment row;
    row.id = record.of.id;
    row.segment = record.of.segment;
    row.nodes = record.of.nodes;
    found = segments_.emplace(record.of.id, std::move(row)).first;
  }
  if (found == segments_.end() || found->second.status != segment_status::active)
    return {kind::lost, {}, {}};
  auto& sequences = found->second.sequences;
  const auto place = std::lower_bound(
    sequences.begin(), sequences.end(), record.sequence.sequence_num,
    [](const stored_sequence& have, std::int32_t number) { return have.info.sequence_num < number; });
  if (place == sequences.end() || place->info.sequence_num != record.sequence.sequence_num)
    sequences.insert(place, {record.sequence, at.value_file, at.data_offset()});
  return {};
}

fold_outcome model_database::apply(const final_record& record, const placement&) {
  const auto found = segments_.find(record.of.id);
  if (found != segments_.end() && found->second.status == segment_status::active) {
    auto& row = found->second;
    std::uint64_t total_bytes = 0;
    for (const auto& sequence : row.sequences)
      total_bytes += sequence.info.size_bytes;
    if (row.sequences.size() == static_cast<std::size_t>(record.sequence_count)
        && total_bytes == record.total_bytes) {
      row.status = segment_status::final;
      row.file = record.file;
      row.meta = record.meta;
      return {};
    }
  }
  auto existing = load(record.of.key());
  const auto is_there = existing && existing->id == record.of.id && existing->status == segment_status::final;
  return {is_there ? kind::applied : kind::lost, {}, std::move(existing)};
}

fold_outcome model_database::apply(const cancel_record& record, const placement&) {
  if (record.reason == cancel_reason::storage_fault) {
    const auto found = segments_.find(record.id);
    if (found != segments_.end() && found->second.status == segment_status::active)
      segments_.erase(found);
    forget_damage(record.key);
    return {};
  }
  for (auto& [id, row] : segments_)
    if (key_of_row(row) == record.key && (record.id == segment_id{} || record.id == id)
        && (row.status == segment_status::active || row.status == segment_status::final))
      row.status = segment_status::cancelled;
  auto existing = load(record.key);
  const auto is_client = record.id == segment_id{};
  if (!existing || (is_client && existing->status == segment_status::tombstone))
    fences_.insert(record.key);
  else if (record.id != segment_id{} && existing->status != segment_status::cancelled)
    return {kind::lost, {}, std::move(existing)};
  return {};
}

fold_outcome model_database::apply(const tombstone_record& record, const placement&) {
  auto existing = load(record.of.key());
  if (segments_.contains(record.of.id) || (existing && existing->status != segment_status::cancelled)) {
    const auto is_there = existing && existing->id == record.of.id;
    return {is_there ? kind::applied : kind::lost, {}, std::move(existing)};
  }
  stored_segment row;
  row.id = record.of.id;
  row.status = segment_status::tombstone;
  row.segment = record.of.segment;
  row.nodes = record.of.nodes;
  row.deletes = record.deletes;
  segments_.emplace(record.of.id, std::move(row));
  return {};
}

fold_outcome model_database::apply(const conjoined_record& record, const placement&) {
  const std::pair of{record.collection, record.key};
  const auto& holder = conjoined_.emplace(std::pair{record.version, record.handoff}, of).first->second;
  return {holder == of ? kind::applied : kind::lost, {}, {}};
}

/// If nothing holds the key any more.
void model_database::forget_damage(const segment_key& key) {
  if (const auto left = load(key); !left || left->status == segment_status::cancelled)
    damaged.erase(key);
}

fold_outcome model_database::apply(const purge_record& record, const placement&) {
  if (record.key.handoff != node_id{}) {
    std::erase_if(segments_, [&](const auto& entry) {
      return key_of_row(entry.second) == record.key
             && (entry.second.status == segment_status::final
                 || entry.second.status == segment_status::tombstone);
    });
    forget_damage(record.key);
  }
  return {};
}

fold_outcome model_database::apply(const repair_record& record, const placement&) {
  const auto key = record.of.key();
  const auto found = segments_.find(record.of.id);
  const auto has_row = found != segments_.end();
  if (has_row
      && (key_of_row(found->second) != key || found->second.status == segment_status::cancelled
          || found->second.status == segment_status::tombstone))
    return {kind::lost, {}, load(key)};
  damaged.erase(key);
  if (has_row && found->second.status == segment_status::final) {
    for (auto& sequence : found->second.sequences) {
      const auto number = static_cast<std::size_t>(sequence.info.sequence_num);
      if (number >= record.sequences.size())
        continue;
      sequence.value_file = record.sequences[number].value_file;
      sequence.data_offset_bytes = record.sequences[number].data_offset_bytes;
    }
    return {};
  }
  std::erase_if(segments_, [&](const auto& entry) { return key_of_row(entry.second) == key; });
  fences_.erase(key);
  stored_segment row;
  row.id = record.of.id;
  row.status = segment_status::final;
  row.segment = record.of.segment;
  row.nodes = record.of.nodes;
  row.file = record.file;
  row.sequences = record.sequences;
  row.meta = record.meta;
  segments_.emplace(row.id, std::move(row));
  return {};
}

} // namespace cairn
