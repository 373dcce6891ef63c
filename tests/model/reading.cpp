#include "tests/model/reading.hpp"

#include "tests/harness/archives.hpp"
#include "tests/model/describe.hpp"

#include <algorithm>

#include <fmt/format.h>

namespace cairn::model {

namespace {

using harness::ask;

constexpr std::size_t looked_up_at_most = 15;

template <class Reply>
std::string wrong(const std::string& question, const Reply& reply, const std::string& expected) {
  return fmt::format("{}: answered {} {}, expected {}", question, to_string(reply.result),
                     reply.error_message, expected);
}

/// The object's size: of a conjoined one, that of its parts. Segments of a part may tell different sizes, any
/// will do.
bool is_size_of(const visible_version& version, std::int64_t size) {
  std::map<std::int32_t, std::pair<std::int64_t, std::int64_t>> of_parts; // smallest, largest
  for (const auto* segment : version.segments) {
    const auto told = segment->file.size_bytes;
    auto& [least, most] = of_parts.try_emplace(segment->segment.conjoined_part, told, told).first->second;
    least = std::min(least, told);
    most = std::max(most, told);
  }
  std::int64_t least = 0, most = 0;
  for (const auto& [part, sizes] : of_parts) {
    least += sizes.first;
    most += sizes.second;
  }
  return least <= size && size <= most;
}

bool is_time_of(const visible_version& version, timestamp_us at) {
  return std::any_of(version.segments.begin(), version.segments.end(),
                     [&](const content* segment) { return segment->segment.timestamp == at; });
}

std::string compare_page(const std::string& question, const list_reply& reply,
                         const std::vector<visible_version>& all, std::int32_t limit) {
  if (reply.result != errc::success)
    return wrong(question, reply, "success");
  const auto count = std::min(all.size(), static_cast<std::size_t>(limit));
  std::string expected, listed;
  bool fits = reply.is_truncated == (all.size() > count) && reply.keys.size() == count;
  for (std::size_t i = 0; i < count; ++i)
    expected += fmt::format(" {}@{}", all[i].key, all[i].version.value);
  for (std::size_t i = 0; i < reply.keys.size(); ++i) {
    const auto& entry = reply.keys[i];
    listed += fmt::format(" {}@{}", entry.key, entry.version.value);
    fits = fits && entry.key == all[i].key && entry.version == all[i].version
           && is_size_of(all[i], entry.size_bytes) && is_time_of(all[i], entry.timestamp);
  }
  return fits ? std::string{}
              : fmt::format("{}: listed{} truncated {}, expected{} of {} (sizes and times count, too)",
                            question, listed, reply.is_truncated, expected, all.size());
}

std::string bytes_of(const content& segment) {
  std::string out;
  for (const auto& data : segment.data.of)
    out.append(reinterpret_cast<const char*>(data.bytes().data()), data.size());
  return out;
}

/// Reply and bytes of a retrieval against the segment that it must be of.
std::string compare_retrieved(const std::string& question, const harness::retrieved_object& got,
                              const content& expected, const byte_range& range) {
  if (got.result != errc::success)
    return wrong(question, got.first, "success");
  const auto& head = got.first;
  if (head.segment != expected.segment || head.nodes != expected.nodes || head.file != expected.file
      || head.meta != expected.meta
      || head.sequence_count != static_cast<std::int32_t>(expected.sequences.size()))
    return fmt::format("{}: row or metadata of another segment", question);
  const auto whole = bytes_of(expected);
  const auto is_whole = range == byte_range{};
  const auto from = std::min<std::uint64_t>(range.first, whole.size());
  if (got.bytes
      != whole.substr(from, range.last - range.first == ~std::uint64_t{0} ? std::string::npos
                                                                          : range.last - range.first + 1))
    return fmt::format("{}: bytes differ, {} came of {}", question, got.bytes.size(), whole.size());
  if (is_whole)
    return {};
  std::uint64_t begin = 0; // a range touches only the sequences that it needs
  std::int32_t touched = 0;
  for (const auto& sequence : expected.sequences) {
    if (sequence.size_bytes != 0 && begin <= range.last && begin + sequence.size_bytes > range.first)
      ++touched;
    begin += sequence.size_bytes;
  }
  const auto read = std::max(head.last_sequence - head.first_sequence + 1, 0);
  const auto empty_between = static_cast<std::int32_t>(
    std::count_if(expected.sequences.begin(), expected.sequences.end(),
                  [](const sequence_info& sequence) { return sequence.size_bytes == 0; }));
  return read >= touched && read <= touched + empty_between
           ? std::string{}
           : fmt::format("{}: touched {} sequences, {} were needed", question, read, touched);
}

} // namespace

std::string reading::check_lookup(collection_id collection, const std::string& key, unified_id version) {
  const auto question = fmt::format("lookup {}:{}@{}", collection.value, key, version.value);
  const auto reply = ask<lookup_reply>(node_, lookup{{}, collection, key, version});
  const auto all = model_.versions_of(collection, key);
  const auto found = std::find_if(all.begin(), all.end(), [&](const visible_version& v) {
    return version == unified_id{} || v.version == version;
  });
  if (found == all.end()) {
    const auto tombstones =
      version == unified_id{} ? std::vector<const content*>{} : model_.tombstones(collection, key, version);
    if (tombstones.empty())
      return reply.result == errc::not_found ? std::string{} : wrong(question, reply, "not_found");
    return reply.result == errc::success && reply.is_tombstone && reply.version == version
             ? std::string{}
             : wrong(question, reply, "a tombstone");
  }
  if (reply.result != errc::success)
    return wrong(question, reply, fmt::format("version {}", found->version.value));
  const auto& first = *found->segments.front();
  bool fits = reply.version == found->version && !reply.is_tombstone
              && is_size_of(*found, reply.file.size_bytes) && reply.file.md5 == first.file.md5
              && reply.file.adler32 == first.file.adler32 && reply.timestamp == first.segment.timestamp
              && reply.meta == first.meta && reply.segments.size() == found->segments.size();
  for (std::size_t i = 0; fits && i < reply.segments.size(); ++i) {
    const auto& held = reply.segments[i];
    const auto& expected = *found->segments[i];
    std::int64_t size = 0;
    for (const auto& sequence : expected.sequences)
      size += sequence.size_bytes;
    fits = held.conjoined_part == expected.segment.conjoined_part
           && held.segment_num == expected.segment.segment_num && held.size_bytes == size
           && held.sequence_count == static_cast<std::int32_t>(expected.sequences.size());
  }
  return fits ? std::string{}
              : fmt::format("{}: answered version {} with {} segments, expected version {} with {} (the rest "
                            "counts, too)",
                            question, reply.version.value, reply.segments.size(), found->version.value,
                            found->segments.size());
}

std::string reading::check_newest(collection_id collection, const std::string& key) {
  const auto question = fmt::format("retrieve newest of {}:{}", collection.value, key);
  retrieve_start message;
  message.collection = collection;
  message.key = key;
  const auto got = harness::retrieve(node_, message);
  const auto all = model_.versions_of(collection, key);
  if (all.empty())
    return got.result == errc::not_found ? std::string{} : wrong(question, got.first, "not_found");
  return compare_retrieved(question, got, *all.front().segments.front(), {});
}

std::string reading::check_keys(collection_id collection, const std::string& prefix,
                                const std::string& marker, std::int32_t limit) {
  const auto question =
    fmt::format("list_keys {} prefix '{}' marker '{}' limit {}", collection.value, prefix, marker, limit);
  const auto reply = ask<list_reply>(node_, list_keys{{}, collection, prefix, marker, limit});
  auto all = model_.versions(collection, prefix);
  const auto same_key = [](const visible_version& a, const visible_version& b) { return a.key == b.key; };
  all.erase(std::unique(all.begin(), all.end(), same_key), all.end()); // the newest of each is left
  std::erase_if(all, [&](const visible_version& v) { return v.key <= marker; });
  return compare_page(question, reply, all, limit);
}

std::string reading::check_versions(collection_id collection, const std::string& prefix,
                                    const std::string& key_marker, unified_id version_marker,
                                    std::int32_t limit) {
  const auto question = fmt::format("list_versions {} prefix '{}' marker '{}'@{} limit {}", collection.value,
                                    prefix, key_marker, version_marker.value, limit);
  const auto reply =
    ask<list_reply>(node_, list_versions{{}, collection, prefix, key_marker, version_marker, limit});
  auto all = model_.versions(collection, prefix);
  std::erase_if(all, [&](const visible_version& v) {
    return v.key < key_marker
           || (v.key == key_marker && (version_marker == unified_id{} || v.version >= version_marker));
  });
  return compare_page(question, reply, all, limit);
}

std::string reading::check_segment(const named_segment_key& key, const byte_range& range) {
  const auto question = fmt::format("retrieve {} bytes {}-{}", describe(key), range.first, range.last);
  retrieve_start message;
  message.segment = key;
  message.range = range;
  const auto got = harness::retrieve(node_, message);
  if (!key.handoff_node.empty() && !model_.knows_node(key.handoff_node))
    return got.result == errc::unknown_node ? std::string{} : wrong(question, got.first, "unknown_node");
  const auto* known = model_.find(key);
  if (known == nullptr || !known->stored || known->stored->is_tombstone)
    return got.result == errc::not_found ? std::string{} : wrong(question, got.first, "not_found");
  return compare_retrieved(question, got, *known->stored, range);
}

std::string reading::check_handoffs(const std::string& node, std::int32_t limit) {
  const auto question = fmt::format("list_handoffs {} limit {}", node, limit);
  auto expected = model_.handoffs(node);
  std::int64_t marker = 0;
  for (;;) {
    const auto page = ask<handoff_reply>(node_, list_handoffs{{}, node, marker, limit});
    if (!model_.knows_node(node))
      return page.result == errc::unknown_node ? std::string{} : wrong(question, page, "unknown_node");
    if (page.result != errc::success || page.handoffs.size() > static_cast<std::size_t>(limit))
      return wrong(question, page, "a page");
    for (const auto& held : page.handoffs) {
      const auto found = std::find_if(expected.begin(), expected.end(), [&](const content* c) {
        return c->segment == held.segment && c->nodes.source == held.source_node
               && c->is_tombstone == held.is_tombstone && c->deletes == held.deletes;
      });
      if (found == expected.end() || held.row <= marker)
        return fmt::format("{}: {} of {}:{} is not held, or not in its order", question,
                           held.segment.version.value, held.segment.collection.value, held.segment.key);
      expected.erase(found);
      marker = held.row;
    }
    if (!page.is_truncated)
      break;
  }
  return expected.empty() ? std::string{}
                          : fmt::format("{}: {} is not listed", question, describe(expected.front()->key()));
}

std::string reading::check_refusal(random_source& random) {
  const auto expect_invalid = [](const auto& reply) {
    return reply.result == errc::invalid_message ? std::string{}
                                                 : wrong("bad question", reply, "invalid_message");
  };
  const collection_id good{1};
  switch (pick(random, 6)) {
    case 0: return expect_invalid(ask<list_reply>(node_, list_keys{{}, good, {}, {}, 0}));
    case 1: return expect_invalid(ask<list_reply>(node_, list_versions{{}, good, {}, {}, {}, 10'001}));
    case 2: return expect_invalid(ask<list_reply>(node_, list_keys{{}, good, "\xC3(", {}, 10}));
    case 3: return expect_invalid(ask<lookup_reply>(node_, lookup{{}, collection_id{0}, "alpha", {}}));
    case 4: return expect_invalid(ask<lookup_reply>(node_, lookup{{}, good, "", {}}));
    default: {
      retrieve_start backwards;
      backwards.collection = good;
      backwards.key = "alpha";
      backwards.range = {5, 4};
      return expect_invalid(ask<retrieve_reply>(node_, backwards));
    }
  }
}

byte_range reading::random_range(random_source& random, const named_segment_key& key) const {
  const auto* known = model_.find(key);
  std::uint64_t size = 1;
  if (known != nullptr && known->stored)
    for (const auto& sequence : known->stored->sequences)
      size += sequence.size_bytes;
  const auto first = pick(random, size + 2);
  return {first, first + pick(random, chance(random, 50) ? 10 : size + 10)};
}

std::string reading::random_question(random_source& random) {
  const auto collection = pick_of(random, traffic_.collections());
  const auto& key = pick_of(random, traffic_.keys());
  const auto limit = static_cast<std::int32_t>(1 + pick(random, 4));
  const auto prefix = pick_of(random, traffic_.keys()).substr(0, pick(random, 6) == 5 ? 5 : 0);
  const auto marker = chance(random, 50) ? key : std::string{};
  const auto& some = pick_of(random, traffic_.versions());
  switch (pick(random, 9)) {
    case 0: return check_lookup(collection, key, {});
    case 1: return check_lookup(some.collection, some.key, some.version);
    case 2: return check_newest(collection, key);
    case 3: return check_keys(collection, prefix, marker, limit);
    case 4:
      return check_versions(collection, prefix, marker,
                            marker.empty() || chance(random, 30) ? unified_id{} : some.version, limit);
    case 5: return check_handoffs(pick_of(random, traffic_.handoff_nodes()), limit);
    case 6: return check_refusal(random);
    default: {
      const auto segment = traffic_.segment_key(random);
      return check_segment(segment, chance(random, 40) ? random_range(random, segment) : byte_range{});
    }
  }
}

std::string reading::everything_listed(random_source& random) {
  std::string difference;
  for (const auto base : traffic_.collections())
    for (const auto collection : {base, collection_id{base.value + 1}}) { // changed content lands there
      if (difference = check_keys(collection, {}, {}, 10'000); !difference.empty())
        return difference;
      if (difference = check_versions(collection, {}, {}, {}, 10'000); !difference.empty())
        return difference;
    }
  const auto& planned = traffic_.versions();
  const std::size_t latest = planned.size() > looked_up_at_most ? planned.size() - looked_up_at_most : 0;
  for (auto i = latest; i < planned.size(); ++i)
    if (difference = check_lookup(planned[i].collection, planned[i].key, planned[i].version);
        !difference.empty())
      return difference;
  for (const auto& key : traffic_.keys())
    if (difference = check_lookup(traffic_.collections().front(), key, {}); !difference.empty())
      return difference;
  for (const auto& node : traffic_.handoff_nodes())
    if (difference = check_handoffs(node, static_cast<std::int32_t>(20 + pick(random, 1'000)));
        !difference.empty())
      return difference;
  return {};
}

std::string reading::everything_stored(random_source& random) {
  for (const auto* segment : model_.final_segments()) {
    auto difference = check_segment(segment->key(), {});
    if (difference.empty() && chance(random, 20))
      difference = check_segment(segment->key(), random_range(random, segment->key()));
    if (!difference.empty())
      return difference;
  }
  return {};
}

} // namespace cairn::model
