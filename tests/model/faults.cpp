#include "tests/model/faults.hpp"

#include <functional>
#include <limits>

#include <fmt/format.h>

namespace cairn::model {

namespace {

/// Ways to change a message; one is taken.
using changes = std::vector<std::function<void()>>;

void spoil_text(changes& ways, std::string& text) {
  ways.emplace_back([&] { text.clear(); });
  ways.emplace_back([&] { text.assign(1025, 'x'); });
  ways.emplace_back([&] { text += std::string("\0", 1); });
  ways.emplace_back([&] { text += "\xC3("; });
}

void spoil_version(changes& ways, unified_id& version) {
  ways.emplace_back([&] { version.value = 0; });
  ways.emplace_back([&] { version.value |= 1ULL << 63U; });
}

void spoil_timestamp(changes& ways, timestamp_us& at) {
  ways.emplace_back([&] { at.value = -62'135'596'800'000'001; });
  ways.emplace_back([&] { at.value = 253'402'300'800'000'000; });
  ways.emplace_back([&] { at.value = std::numeric_limits<std::int64_t>::max(); });
}

void spoil_share(changes& ways, std::int32_t* part, std::int32_t& num) {
  if (part != nullptr)
    ways.emplace_back([=] { *part = -1; });
  ways.emplace_back([&] { num = 0; });
  ways.emplace_back([&] { num = 256; });
  ways.emplace_back([&] { num = -3; });
}

void spoil_key(changes& ways, named_segment_key& key) {
  spoil_version(ways, key.version);
  spoil_share(ways, &key.conjoined_part, key.segment_num);
  ways.emplace_back([&] { key.handoff_node = "nobody"; });
}

void spoil_data(changes& ways, sequence_info& sequence, payload& data) {
  for (int again = 0; again < 2; ++again) { // as likely as all else together
    ways.emplace_back([&] { sequence.md5[3] ^= 1U; });
    ways.emplace_back([&] { sequence.adler32 ^= 0x80000000U; });
    ways.emplace_back([&] { ++sequence.size_bytes; });
    ways.emplace_back([&] { data = data.slice(0, data.size() / 2); });
  }
  ways.emplace_back([&] { sequence.size_bytes = 0; });
  ways.emplace_back([&] { sequence.size_bytes = std::numeric_limits<std::uint32_t>::max(); });
  ways.emplace_back([&] { sequence.padding_bytes = sequence.size_bytes + 1; });
  ways.emplace_back([&] { sequence.sequence_num = -1; });
  ways.emplace_back([&] { sequence.sequence_num += 1; });
  ways.emplace_back([&] { sequence.sequence_num = std::numeric_limits<std::int32_t>::max(); });
}

void spoil_metadata(changes& ways, metadata& meta) {
  ways.emplace_back([&] {
    for (int i = 0; i < 65; ++i)
      meta[fmt::format("many/{}", i)] = "v";
  });
  ways.emplace_back([&] { meta[""] = "v"; });
  ways.emplace_back([&] { meta[std::string(1025, 'k')] = "v"; });
  ways.emplace_back([&] { meta["k"] = std::string(1025, 'v'); });
  ways.emplace_back([&] { meta["k"] = std::string("a\0b", 3); });
}

template <class Message>
changes ways_to_spoil(Message& m) {
  changes ways;
  ways.emplace_back([&] { m.env.user_request_id.assign(256, 'r'); });
  if constexpr (requires { m.segment; }) {
    ways.emplace_back([&] { m.segment.collection.value = 0; });
    spoil_text(ways, m.segment.key);
    spoil_version(ways, m.segment.version);
    spoil_timestamp(ways, m.segment.timestamp);
    spoil_share(ways, &m.segment.conjoined_part, m.segment.segment_num);
  }
  if constexpr (requires { m.nodes; }) {
    ways.emplace_back([&] { m.nodes.source = "nobody"; });
    ways.emplace_back([&] { m.nodes.source.clear(); });
    ways.emplace_back([&] { m.nodes.handoff = "nobody"; });
  }
  if constexpr (requires { m.data; })
    spoil_data(ways, m.sequence, m.data);
  if constexpr (requires { m.file; }) {
    ways.emplace_back([&] { m.file.size_bytes = -1; });
    spoil_metadata(ways, m.meta);
  }
  if constexpr (requires { m.key.handoff_node; }) {
    spoil_key(ways, m.key);
  } else if constexpr (requires { m.collection; }) {
    ways.emplace_back([&] { m.collection.value = -1; });
    spoil_text(ways, m.key);
  }
  if constexpr (requires { m.version; })
    spoil_version(ways, m.version);
  if constexpr (requires { m.timestamp; })
    spoil_timestamp(ways, m.timestamp);
  if constexpr (requires { m.deletes; }) {
    spoil_share(ways, nullptr, m.segment_num);
    ways.emplace_back([&] { m.deletes = m.version; });
    ways.emplace_back([&] { m.deletes.value |= 1ULL << 63U; });
  }
  if constexpr (requires { m.handoff_node; })
    ways.emplace_back([&] { m.handoff_node = "nobody"; });
  if constexpr (requires { m.source_node; })
    ways.emplace_back([&] { m.source_node = "nobody"; });
  if constexpr (requires { m.keys; }) {
    ways.emplace_back([&] { m.keys.clear(); });
    if (!m.keys.empty()) {
      ways.emplace_back([&] { m.keys.back().handoff_node.clear(); });
      spoil_key(ways, m.keys.back());
    }
  }
  if constexpr (requires { m.port; }) {
    ways.emplace_back([&] { m.node.value = 0; });
    ways.emplace_back([&] { m.node.value = 1; });
    ways.emplace_back([&] { m.name = "two words"; });
    ways.emplace_back([&] { m.name.assign(64, 'n'); });
    ways.emplace_back([&] { m.port = 65'536; });
    ways.emplace_back([&] { m.host = "\xFF"; });
  }
  return ways;
}

template <class Message>
changes ways_to_differ(Message& m) {
  changes ways;
  if constexpr (requires { m.segment; }) {
    ways.emplace_back([&] { m.segment.key += "/other"; });
    ways.emplace_back([&] { m.segment.timestamp.value += m.segment.timestamp.value > 0 ? -1 : 1; });
    ways.emplace_back([&] { m.segment.collection.value += 1; });
  } else if constexpr (requires { m.collection; }) {
    ways.emplace_back([&] { m.key += "/other"; });
    ways.emplace_back([&] { m.timestamp.value += m.timestamp.value > 0 ? -1 : 1; });
  }
  if constexpr (requires { m.nodes; }) {
    ways.emplace_back([&] { m.nodes.source = "east"; });
    ways.emplace_back([&] { m.nodes.handoff = m.nodes.handoff.empty() ? "east" : ""; });
  }
  if constexpr (requires { m.data; })
    ways.emplace_back([&] { m.sequence.padding_bytes = m.sequence.size_bytes / 2 + 1; });
  if constexpr (requires { m.file; }) {
    ways.emplace_back([&] { m.file.md5[0] ^= 0x40U; });
    ways.emplace_back([&] { m.file.adler32 ^= 0x80000000U; });
    ways.emplace_back([&] { m.file.size_bytes += 1; });
    ways.emplace_back([&] { m.meta["other"] = "pair"; });
  }
  if constexpr (requires { m.deletes; })
    ways.emplace_back([&] { m.deletes.value = m.deletes.value == 0 ? 1'000'050 : 0; });
  return ways;
}

void take_one(random_source& random, const changes& ways) {
  if (!ways.empty())
    pick_of(random, ways)();
}

} // namespace

void change_content(random_source& random, operation& message) {
  std::visit([&](auto& m) { take_one(random, ways_to_differ(m)); }, message);
}

void spoil(random_source& random, operation& message) {
  std::visit([&](auto& m) { take_one(random, ways_to_spoil(m)); }, message);
}

} // namespace cairn::model
