#include "core/validation.hpp"

#include "core/digest.hpp"
#include "core/utf8.hpp"

#include <algorithm>

#include <fmt/format.h>

namespace cairn {

node_directory::node_directory(std::vector<node_record> nodes) : nodes_(std::move(nodes)) {
  for (const auto& node : nodes_)
    by_name_.emplace(node.name, node.node);
}

result<node_id> node_directory::id_of(const std::string& name) const {
  const auto found = by_name_.find(name);
  if (found == by_name_.end())
    return fail(errc::unknown_node,
                fmt::format("node \"{}\" is not in the node table: add it, or name another", name));
  return found->second;
}

std::string node_directory::name_of(node_id id) const {
  const auto found =
    std::find_if(nodes_.begin(), nodes_.end(), [id](const auto& node) { return node.node == id; });
  return found == nodes_.end() ? std::string{} : found->name;
}

namespace {

/// First microsecond of year 1 and of year 10000: what both PostgreSQL and ISO 8601 can say.
constexpr std::int64_t min_timestamp_us = -62'135'596'800'000'000;
constexpr std::int64_t end_timestamp_us = 253'402'300'800'000'000;

template <class... Args>
tl::unexpected<failure> invalid(fmt::format_string<Args...> text, Args&&... args) {
  return fail(errc::invalid_message, fmt::format(text, std::forward<Args>(args)...));
}

/// Runs checks until one fails.
template <class... Checks>
result<void> all_of(Checks&&... checks) {
  result<void> verdict;
  ((verdict = checks(), verdict.has_value()) && ...);
  return verdict;
}

result<void> check_collection(collection_id collection) {
  if (collection.value <= 0)
    return invalid("collection_id is {}, it must be 1..2147483647", collection.value);
  return {};
}

result<void> check_key(const std::string& key) {
  if (key.empty() || key.size() > max_key_bytes)
    return invalid("key has {} bytes, it must have 1..{}", key.size(), max_key_bytes);
  if (!is_storable_text(key))
    return invalid("key is not valid UTF-8 without NUL");
  return {};
}

result<void> check_version(unified_id version) {
  if (version.value == 0 || version.value > max_unified_id)
    return invalid("unified_id is {}, it must be 1..{}", version.value, max_unified_id);
  return {};
}

result<void> check_timestamp(timestamp_us timestamp) {
  if (timestamp.value < min_timestamp_us || timestamp.value >= end_timestamp_us)
    return invalid("timestamp is {} us since 1970, it must lie in the years 1 to 9999", timestamp.value);
  return {};
}

result<void> check_share(std::int32_t conjoined_part, std::int32_t segment_num) {
  if (conjoined_part < 0)
    return invalid("conjoined_part is {}, it must be 0 (not conjoined) or a part's number from 1",
                   conjoined_part);
  if (segment_num < 1 || segment_num > max_segment_num)
    return invalid("segment_num is {}, it must be 1..{}", segment_num, max_segment_num);
  return {};
}

result<void> check_segment(const segment_info& segment) {
  return all_of([&] { return check_collection(segment.collection); }, [&] { return check_key(segment.key); },
                [&] { return check_version(segment.version); },
                [&] { return check_timestamp(segment.timestamp); },
                [&] { return check_share(segment.conjoined_part, segment.segment_num); });
}

/// @param min_bytes 0 where an empty sequence is allowed
result<void> check_sequence(const sequence_info& sequence, const payload& data, std::uint32_t min_bytes,
                            const node_limits& limits) {
  if (sequence.sequence_num < 0)
    return invalid("sequence_num is {}, it must be 0 or more", sequence.sequence_num);
  if (sequence.size_bytes < min_bytes || sequence.size_bytes > limits.max_sequence_bytes)
    return invalid("sequence size is {} bytes, it must be {}..{}", sequence.size_bytes, min_bytes,
                   limits.max_sequence_bytes);
  if (sequence.padding_bytes > sequence.size_bytes)
    return invalid("padding size is {} bytes, it must not pass the sequence's {}", sequence.padding_bytes,
                   sequence.size_bytes);
  if (data.size() != sequence.size_bytes)
    return fail(errc::size_mismatch,
                fmt::format("data has {} bytes, the message says {}", data.size(), sequence.size_bytes));
  return {};
}

result<void> check_file(const file_info& file) {
  if (file.size_bytes < 0)
    return invalid("file size is {}, it must be 0 or more", file.size_bytes);
  return {};
}

result<void> check_metadata(const metadata& meta) {
  if (meta.size() > max_meta_pairs)
    return invalid("metadata has {} pairs, at most {} are stored", meta.size(), max_meta_pairs);
  for (const auto& [key, value] : meta) {
    if (key.empty() || key.size() > max_meta_key_bytes)
      return invalid("a metadata key has {} bytes, it must have 1..{}", key.size(), max_meta_key_bytes);
    if (value.size() > max_meta_value_bytes)
      return invalid("metadata value of \"{}\" has {} bytes, it must have at most {}", key, value.size(),
                     max_meta_value_bytes);
    if (!is_storable_text(key) || !is_storable_text(value))
      return invalid("a metadata pair is not valid UTF-8 without NUL");
  }
  return {};
}

result<node_id> resolve_handoff(const std::string& name, const validation_context& context) {
  return name.empty() ? result<node_id>{node_id{}} : context.nodes.id_of(name);
}

result<node_ids> resolve_nodes(const node_names& names, const validation_context& context) {
  const auto source = context.nodes.id_of(names.source);
  if (!source)
    return tl::unexpected(source.error());
  const auto handoff = resolve_handoff(names.handoff, context);
  if (!handoff)
    return tl::unexpected(handoff.error());
  return node_ids{*source, *handoff};
}

template <class Request>
result<write_operation> with_sequence(Request request, const sequence_info& info, payload&& data) {
  request.sequence.info = info;
  request.sequence.data = std::move(data);
  return write_operation{std::move(request)};
}

} // namespace

result<segment_key> resolve(const named_segment_key& key, const validation_context& context) {
  if (auto checked = all_of([&] { return check_version(key.version); },
                            [&] { return check_share(key.conjoined_part, key.segment_num); });
      !checked)
    return pass_failure(checked);
  auto handoff = resolve_handoff(key.handoff_node, context);
  if (!handoff)
    return pass_failure(handoff);
  return segment_key{key.version, key.conjoined_part, key.segment_num, *handoff};
}

result<write_operation> to_operation(archive_key_entire&& message, const validation_context& context) {
  if (message.sequence.sequence_num != 0)
    return invalid("sequence_num of an entire archive is {}, it must be 0", message.sequence.sequence_num);
  if (auto checked =
        all_of([&] { return check_segment(message.segment); }, [&] { return check_file(message.file); },
               [&] { return check_metadata(message.meta); },
               [&] { return check_sequence(message.sequence, message.data, 0, context.limits); });
      !checked)
    return pass_failure(checked);
  auto nodes = resolve_nodes(message.nodes, context);
  if (!nodes)
    return pass_failure(nodes);
  entire_request request{{{}, std::move(message.segment), *nodes}, {}, message.file, std::move(message.meta)};
  return with_sequence(std::move(request), message.sequence, std::move(message.data));
}

result<write_operation> to_operation(archive_key_start&& message, const validation_context& context) {
  if (message.sequence.sequence_num != 0)
    return invalid("sequence_num of a start is {}, it must be 0", message.sequence.sequence_num);
  if (auto checked =
        all_of([&] { return check_segment(message.segment); },
               [&] { return check_sequence(message.sequence, message.data, 1, context.limits); });
      !checked)
    return pass_failure(checked);
  auto nodes = resolve_nodes(message.nodes, context);
  if (!nodes)
    return pass_failure(nodes);
  start_request request{{{}, std::move(message.segment), *nodes}, {}};
  return with_sequence(std::move(request), message.sequence, std::move(message.data));
}

result<write_operation> to_operation(archive_key_next&& message, const validation_context& context) {
  auto key = resolve(message.key, context);
  if (!key)
    return pass_failure(key);
  if (auto checked = check_sequence(message.sequence, message.data, 1, context.limits); !checked)
    return pass_failure(checked);
  return with_sequence(next_request{*key, {}}, message.sequence, std::move(message.data));
}

result<write_operation> to_operation(archive_key_final&& message, const validation_context& context) {
  auto key = resolve(message.key, context);
  if (!key)
    return pass_failure(key);
  if (auto checked =
        all_of([&] { return check_file(message.file); }, [&] { return check_metadata(message.meta); },
               [&] { return check_sequence(message.sequence, message.data, 0, context.limits); });
      !checked)
    return pass_failure(checked);
  final_request request{*key, {}, message.file, std::move(message.meta)};
  return with_sequence(std::move(request), message.sequence, std::move(message.data));
}

result<void> validate(const retrieve_start& message, const validation_context& context) {
  if (message.range.first > message.range.last)
    return invalid("range {}-{} is empty: first must not pass last", message.range.first, message.range.last);
  if (message.segment.version == unified_id{})
    return all_of([&] { return check_collection(message.collection); },
                  [&] { return check_key(message.key); });
  const auto key = resolve(message.segment, context);
  return key ? result<void>{} : tl::unexpected(key.error());
}

result<void> validate(const lookup& message) {
  return all_of(
    [&] { return check_collection(message.collection); }, [&] { return check_key(message.key); },
    [&] { return message.version == unified_id{} ? result<void>{} : check_version(message.version); });
}

result<void> validate(const list_keys& message) {
  if (auto checked = check_collection(message.collection); !checked)
    return checked;
  if (message.limit < 1 || message.limit > max_list_limit)
    return invalid("limit is {}, it must be 1..{}", message.limit, max_list_limit);
  for (const auto* text : {&message.prefix, &message.marker})
    if (text->size() > max_key_bytes || !is_storable_text(*text))
      return invalid("prefix and marker must be valid UTF-8 of at most {} bytes", max_key_bytes);
  return {};
}

result<void> validate(const envelope& env) {
  for (const auto* text : {&env.client_tag, &env.user_request_id})
    if (text->size() > max_envelope_text_bytes)
      return invalid("client_tag and user_request_id must have at most {} bytes", max_envelope_text_bytes);
  return {};
}

result<std::uint32_t> check_digests(const sequence_info& expected, const payload& data) {
  const auto digests = digest_payload(data.bytes());
  if (digests.md5 != expected.md5)
    return fail(errc::md5_mismatch, fmt::format("data have MD5 {}, the message says {}", to_hex(digests.md5),
                                                to_hex(expected.md5)));
  if (digests.adler32 != expected.adler32)
    return fail(errc::adler32_mismatch,
                fmt::format("data have Adler-32 {}, the message says {}", digests.adler32, expected.adler32));
  return digests.crc32c;
}

} // namespace cairn
