#include "tests/model/traffic.hpp"

#include "tests/harness/archives.hpp"
#include "tests/model/faults.hpp"

#include <algorithm>
#include <limits>

#include <fmt/format.h>

namespace cairn::model {

namespace {

constexpr std::size_t versions_at_a_time = 10;
constexpr std::size_t messages_to_repeat = 40;
constexpr std::int64_t first_timestamp_us = 1'700'000'000'000'000;

std::uint64_t mix(std::uint64_t a, std::uint64_t b) {
  auto x = a * 0x9e3779b97f4a7c15ULL + b + 0x7f4a7c15ULL;
  x = (x ^ (x >> 30U)) * 0xbf58476d1ce4e5b9ULL;
  x = (x ^ (x >> 27U)) * 0x94d049bb133111ebULL;
  return x ^ (x >> 31U);
}

/// What belongs to one sequence of one segment: the same each time it is asked for.
class sequence_source {
public:
  sequence_source(std::uint64_t seed, const segment_info& segment, std::uint64_t variant)
      : seed_(
        mix(mix(seed, segment.version.value),
            mix(variant, static_cast<std::uint64_t>(segment.conjoined_part * 256 + segment.segment_num)))) {}

  /// @param least 0 where an empty sequence is allowed
  [[nodiscard]] payload data(std::int32_t number, std::size_t least) const {
    const auto s = mix(seed_, static_cast<std::uint64_t>(number) + 1);
    std::size_t size = 1 + s % 200;
    if (s % 37 == 1)
      size = 30'000 + s % 80'000; // on both sides of what the node digests on the spot
    else if (s % 11 == 1)
      size = least;
    return harness::bytes_of_seed(size, s);
  }
  /// The whole object's: the node stores it as it comes.
  [[nodiscard]] file_info file(std::int32_t last) const {
    const auto s = mix(seed_, 1'000 + static_cast<std::uint64_t>(last));
    file_info file{static_cast<std::int64_t>(s % 1'000'000), static_cast<std::uint32_t>(s >> 20U), {}};
    file.md5.fill(static_cast<std::uint8_t>(s));
    return file;
  }
  [[nodiscard]] metadata meta() const {
    metadata meta;
    for (std::uint64_t i = 0; i < seed_ % 3; ++i)
      meta[fmt::format("k{}", i)] = i == 1 ? std::string{} : fmt::format("{:x}", seed_);
    return meta;
  }

private:
  std::uint64_t seed_;
};

archive_key_entire entire(const sequence_source& from, const segment_info& segment, const node_names& nodes) {
  auto data = from.data(0, 0);
  return {{}, segment, harness::describe(data, 0), from.file(0), nodes, from.meta(), data};
}
archive_key_start start(const sequence_source& from, const segment_info& segment, const node_names& nodes) {
  auto data = from.data(0, 1);
  return {{}, segment, harness::describe(data, 0), nodes, data};
}
archive_key_next next_sequence(const sequence_source& from, const named_segment_key& key,
                               std::int32_t number) {
  auto data = from.data(number, 1);
  return {{}, key, harness::describe(data, number), data};
}
archive_key_final final_sequence(const sequence_source& from, const named_segment_key& key,
                                 std::int32_t number) {
  auto data = from.data(number, 0);
  return {{}, key, harness::describe(data, number), from.file(number), from.meta(), data};
}

} // namespace

std::uint64_t pick(random_source& random, std::uint64_t below) { return random() % below; }
bool chance(random_source& random, unsigned percent) { return pick(random, 100) < percent; }

traffic::traffic(std::uint64_t seed, const contract_model& model) : seed_(seed), model_(model) {
  random_source random(seed);
  while (versions_.size() < versions_at_a_time)
    plan_version(random);
}

/// Ids near each other, in no order; now and then one from the far ends.
void traffic::plan_version(random_source& random) {
  planned_version plan;
  plan.collection = chance(random, 80) ? collections_[0] : collections_[1];
  plan.key = pick_of(random, keys_);
  plan.is_conjoined = chance(random, 30);
  plan.timestamp.value = first_timestamp_us + static_cast<std::int64_t>(pick(random, 1'000)) * 1'000'001;
  if (chance(random, 1))
    plan.timestamp.value = chance(random, 50) ? -62'135'596'800'000'000 : 253'402'300'799'999'999;
  do {
    plan.version.value = 1'000'000 + 4 * versions_.size() + pick(random, 200);
    if (chance(random, 1))
      plan.version.value =
        chance(random, 50) ? 1 + pick(random, 1'000) : max_unified_id - pick(random, 1'000);
  } while (std::any_of(versions_.begin(), versions_.end(),
                       [&](const planned_version& other) { return other.version == plan.version; }));
  versions_.push_back(std::move(plan));
}

const planned_version& traffic::version(random_source& random) const {
  const auto back = chance(random, 3) ? versions_.size() : std::min(versions_.size(), versions_at_a_time);
  return versions_[versions_.size() - 1 - pick(random, back)];
}

segment_info traffic::segment(random_source& random) const {
  const auto& of = version(random);
  segment_info segment{of.collection, of.key, of.version, of.timestamp, 0, 1};
  if (of.is_conjoined)
    segment.conjoined_part = 1 + static_cast<std::int32_t>(pick(random, 2));
  if (chance(random, 20))
    segment.segment_num = chance(random, 80) ? 2 : 255;
  return segment;
}

node_names traffic::nodes(random_source& random) const {
  return {"node-1", chance(random, 25) ? pick_of(random, handoff_nodes_) : std::string{}};
}

named_segment_key traffic::segment_key(random_source& random) const {
  const auto s = segment(random);
  return {s.version, s.conjoined_part, s.segment_num, nodes(random).handoff};
}

operation traffic::next(random_source& random, bool alone) {
  if (chance(random, 5))
    plan_version(random);
  auto message = !lately_.empty() && chance(random, 12) ? pick_of(random, lately_) : fresh(random, alone);
  const auto is_for_many = [](const operation& m) {
    return std::holds_alternative<gateway_start>(m) || std::holds_alternative<purge>(m)
           || std::holds_alternative<add_node>(m);
  };
  if (!alone && is_for_many(message))
    message = for_segment(random);
  if (chance(random, 6))
    change_content(random, message);
  if (chance(random, 6))
    spoil(random, message);
  lately_.push_back(message);
  if (lately_.size() > messages_to_repeat)
    lately_.pop_front();
  return message;
}

operation traffic::fresh(random_source& random, bool alone) {
  const auto dice = pick(random, 100);
  if (dice < 8)
    return destroy(random);
  if (dice < 17)
    return conjoined(random);
  if (dice < 24 && alone)
    return for_many(random);
  return for_segment(random);
}

operation traffic::for_segment(random_source& random) {
  const auto of = segment(random);
  const auto at = nodes(random);
  const named_segment_key key{of.version, of.conjoined_part, of.segment_num, at.handoff};
  const sequence_source from(seed_, of, chance(random, 8) ? 1 : 0);
  const auto* known = model_.find(key);
  const auto* active = known != nullptr && known->active ? &*known->active : nullptr;
  auto number = static_cast<std::int32_t>(pick(random, 4));
  if (active != nullptr && chance(random, 80))
    number = static_cast<std::int32_t>(active->so_far.sequences.size());
  const auto dice = pick(random, 100);
  if (active != nullptr && dice < 75) // go on with it, mostly
    return dice < 35 ? operation{next_sequence(from, key, number)}
                     : operation{final_sequence(from, key, number)};
  if (dice < 40)
    return entire(from, of, at);
  if (dice < 70)
    return start(from, of, at);
  if (dice < 80)
    return next_sequence(from, key, number);
  if (dice < 88)
    return final_sequence(from, key, number);
  return archive_key_cancel{{}, key};
}

operation traffic::for_many(random_source& random) {
  const auto dice = pick(random, 100);
  if (dice < 20)
    return gateway_start{{},
                         version(random).version,
                         version(random).timestamp,
                         chance(random, 80) ? "node-1" : pick_of(random, handoff_nodes_)};
  if (dice < 60) {
    purge message;
    for (auto n = pick(random, 4) + 1; n > 0; --n) {
      auto key = segment_key(random);
      key.handoff_node = pick_of(random, handoff_nodes_);
      message.keys.push_back(key);
    }
    return message;
  }
  if (dice < 75)
    return add_node{{},
                    node_id{2 + static_cast<std::int32_t>(pick(random, 3))},
                    pick_of(random, handoff_nodes_),
                    "10.0.0.1",
                    4160};
  return sync_value_file{};
}

operation traffic::conjoined(random_source& random) {
  const auto& of = version(random);
  const auto handoff = chance(random, 10) ? pick_of(random, handoff_nodes_) : std::string{};
  const auto dice = pick(random, 100);
  if (dice < 30)
    return start_conjoined_archive{{}, of.collection, of.key, of.version, of.timestamp, handoff};
  if (dice < 45)
    return abort_conjoined_archive{{}, of.collection, of.key, of.version, of.timestamp, handoff};
  return finish_conjoined_archive{{}, of.collection, of.key, of.version, of.timestamp, handoff};
}

operation traffic::destroy(random_source& random) {
  const auto& of = version(random);
  destroy_key message{{}, of.collection, of.key, of.version, {}, of.timestamp, 1, nodes(random)};
  if (chance(random, 85)) // near the others, mostly between two
    message.version.value = version(random).version.value - 1 - pick(random, 2) + 2 * pick(random, 2);
  if (chance(random, 60))
    message.deletes = chance(random, 80) ? of.version : version(random).version;
  return message;
}

std::vector<operation> traffic::upload(random_source& random) {
  if (chance(random, 50))
    plan_version(random);
  const auto of = segment(random);
  const auto at = nodes(random);
  const named_segment_key key{of.version, of.conjoined_part, of.segment_num, at.handoff};
  const sequence_source from(seed_, of, 0);
  std::vector<operation> messages{start(from, of, at)};
  const auto last = 1 + static_cast<std::int32_t>(pick(random, 3));
  for (std::int32_t number = 1; number < last; ++number)
    messages.emplace_back(next_sequence(from, key, number));
  messages.emplace_back(final_sequence(from, key, last));
  if (chance(random, 30))
    messages.insert(messages.begin() + static_cast<std::ptrdiff_t>(1 + pick(random, messages.size())),
                    archive_key_cancel{{}, key});
  if (chance(random, 20))
    messages.emplace_back(final_sequence(from, key, last));
  return messages;
}

} // namespace cairn::model
