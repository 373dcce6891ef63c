#include "tests/harness/archives.hpp"

#include "core/clock.hpp"
#include "core/digest.hpp"

#include <cstring>
#include <functional>
#include <random>

namespace cairn::harness {

namespace {

constexpr collection_id sample_collection{1};

void append(std::string& to, std::span<const std::byte> bytes) {
  to.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
}

} // namespace

payload bytes_of_seed(std::size_t size_bytes, std::uint64_t seed) {
  auto data = payload::uninitialized(size_bytes);
  const auto bytes = data.mutable_bytes();
  if (bytes.size() != size_bytes)
    throw harness_error("out of memory");
  std::mt19937_64 random(seed);
  for (std::size_t at = 0; at < size_bytes; at += sizeof(std::uint64_t)) {
    const std::uint64_t word = random();
    std::memcpy(bytes.data() + at, &word, std::min(sizeof word, size_bytes - at));
  }
  return data;
}

sequence_info describe(const payload& data, std::int32_t sequence_num) {
  const auto digests = digest_payload(data.bytes());
  return {sequence_num, static_cast<std::uint32_t>(data.size()), 0, digests.md5, digests.adler32};
}

file_info describe(const std::vector<payload>& sequences) {
  file_info file;
  md5_hasher whole;
  for (const auto& data : sequences) {
    whole.update(data.bytes());
    file.adler32 = adler32(data.bytes(), file.adler32);
    file.size_bytes += static_cast<std::int64_t>(data.size());
  }
  file.md5 = whole.digest();
  return file;
}

sample_object make_object(client& by, const std::string& key,
                          const std::vector<std::size_t>& sequence_sizes) {
  sample_object object;
  object.segment.collection = sample_collection;
  object.segment.key = key;
  object.segment.version = by.next_unified_id();
  object.segment.timestamp = now_us();
  object.segment.segment_num = 1;
  object.source = by.node().node;
  const auto seed = std::hash<std::string>{}(key) ^ object.segment.version.value;
  for (std::size_t i = 0; i < sequence_sizes.size(); ++i)
    object.sequences.push_back(bytes_of_seed(sequence_sizes[i], seed + i));
  object.file = describe(object.sequences);
  return object;
}

archive_key_entire entire_of(const sample_object& object) {
  const auto& data = object.sequences.front();
  return {{}, object.segment, describe(data, 0), object.file, {object.source, {}}, object.meta, data};
}

archive_key_start start_of(const sample_object& object) {
  const auto& data = object.sequences.front();
  return {{}, object.segment, describe(data, 0), {object.source, {}}, data};
}

archive_key_next next_of(const sample_object& object, std::int32_t sequence_num) {
  const auto& data = object.sequences[static_cast<std::size_t>(sequence_num)];
  return {{}, object.key(), describe(data, sequence_num), data};
}

archive_key_final final_of(const sample_object& object) {
  const auto& data = object.sequences.back();
  const auto last = static_cast<std::int32_t>(object.sequences.size()) - 1;
  return {{}, object.key(), describe(data, last), object.file, object.meta, data};
}

destroy_key delete_of(client& by, const sample_object& object) {
  const auto& segment = object.segment;
  return {{},       segment.collection,  segment.key,        by.next_unified_id(), segment.version,
          now_us(), segment.segment_num, {object.source, {}}};
}

archive_reply archive(client& node, const sample_object& object) {
  const auto count = static_cast<std::int32_t>(object.sequences.size());
  if (count == 1)
    return ask<archive_reply>(node, entire_of(object));
  std::vector<pending_reply<archive_reply>> under_way;
  under_way.push_back(node.send<archive_reply>(start_of(object)));
  for (std::int32_t i = 1; i + 1 < count; ++i)
    under_way.push_back(node.send<archive_reply>(next_of(object, i)));
  under_way.push_back(node.send<archive_reply>(final_of(object)));
  archive_reply last;
  for (auto& waiting : under_way) {
    auto reply = waiting();
    if (!reply)
      throw harness_error("no reply: " + reply.error().message);
    if (last.result == errc::success)
      last = std::move(*reply);
  }
  return last;
}

retrieved_object retrieve(client& node, const retrieve_start& what) {
  retrieved_object out;
  out.first = ask<retrieve_reply>(node, what);
  out.result = out.first.result;
  append(out.bytes, out.first.sequence.data.bytes());
  for (auto i = out.first.first_sequence + 1; out.first.retrieval != 0 && i <= out.first.last_sequence; ++i) {
    const auto reply = ask<retrieve_reply>(node, retrieve_next{{}, out.first.retrieval, i});
    if (out.result == errc::success)
      out.result = reply.result;
    append(out.bytes, reply.sequence.data.bytes());
  }
  return out;
}

retrieved_object retrieve(client& node, const std::string& key, const byte_range& range) {
  retrieve_start what;
  what.collection = sample_collection;
  what.key = key;
  what.range = range;
  return retrieve(node, what);
}

lookup_reply look_up(client& node, const std::string& key, unified_id version) {
  return ask<lookup_reply>(node, lookup{{}, sample_collection, key, version});
}

std::string content_of(const sample_object& object) {
  std::string content;
  for (const auto& data : object.sequences)
    append(content, data.bytes());
  return content;
}

} // namespace cairn::harness
