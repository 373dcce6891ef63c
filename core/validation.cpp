#include "core/validation.hpp"

#include "core/digest.hpp"
#include "core/store/data_directory.hpp"
#include "core/utf8.hpp"

#include <algorithm>
#include <mutex>

#include <fmt/format.h>

namespace cairn {

node_directory::node_directory(std::vector<node_record> nodes) {
  for (const auto& node : nodes)
    add(node);
}

void node_directory::add(const node_record& node) {
  const std::unique_lock lock(mutex_);
  by_id_.insert_or_assign(node.node, node);
  by_name_.insert_or_assign(node.name, node.node);
}

std::vector<node_record> node_directory::all() const {
  const std::shared_lock lock(mutex_);
  std::vector<node_record> nodes;
  for (const auto& [id, node] : by_id_)
    nodes.push_back(node);
  return nodes;
}

result<void> node_directory::check_new(const node_record& node) const {
  const std::shared_lock lock(mutex_);
  if (const auto found = by_id_.find(node.node); found != by_id_.end() && found->second.name != node.name)
    return fail(errc::invalid_message,
                fmt::format("node number {} is \"{}\": give the new node another number", node.node.value,
                            found->second.name));
  if (const auto found = by_name_.find(node.name); found != by_name_.end() && found->second != node.node)
    return fail(errc::invalid_message,
                fmt::format("node \"{}\" has number {}: give the new node another name", node.name,
                            found->second.value));
  return {};
}

result<node_id> node_directory::id_of(const std::string& name) const {
  const std::shared_lock lock(mutex_);
  const auto found = by_name_.find(name);
  if (found == by_name_.end())
    return fail(errc::unknown_node,
                name.empty()
                  ? "no node is named: name one of the node table"
                  : fmt::format("node {} is not in the node table: add it, or name another", quoted(name)));
  return found->second;
}

std::string node_directory::name_of(node_id id) const {
  const std::shared_lock lock(mutex_);
  const auto found = by_id_.find(id);
  return found == by_id_.end() ? std::string{} : found->second.name;
}

namespace {

/// First microsecond of year 1 and of year 10000: what both PostgreSQL and ISO 8601 can say.
constexpr std::int64_t min_timestamp_us = -62'135'596'800'000'000;
constexpr std::size_t max_host_bytes = 255;
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

result<void> check_version(unified_id version, std::string_view field = "unified_id") {
  if (version.value == 0 || version.value > max_unified_id)
    return invalid("{} is {}, it must be 1..{}", field, version.value, max_unified_id);
  return {};
}

/// 0 = none.
result<void> check_optional_version(unified_id version, std::string_view field = "unified_id") {
  return version == unified_id{} ? result<void>{} : check_version(version, field);
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
    return invalid("metadata has {} pairs or more, at most {} are stored", meta.size(), max_meta_pairs);
  for (const auto& [key, value] : meta) {
    if (key.empty() || key.size() > max_meta_key_bytes)
      return invalid("a metadata key has {} bytes, it must have 1..{}", key.size(), max_meta_key_bytes);
    if (value.size() > max_meta_value_bytes)
      return invalid("metadata value of {} has {} bytes, it must have at most {}", quoted(key), value.size(),
                     max_meta_value_bytes);
    if (!is_storable_text(key) || !is_storable_text(value))
      return invalid("metadata key {} or its value is not valid UTF-8 without NUL", quoted(key));
  }
  return {};
}

result<void> check_limit(std::int32_t limit) {
  if (limit < 1 || limit > max_list_limit)
    return invalid("limit is {}, it must be 1..{}", limit, max_list_limit);
  return {};
}

/// A prefix or a marker; empty = none.
result<void> check_list_text(const std::string& text, std::string_view field) {
  if (text.size() > max_key_bytes)
    return invalid("{} has {} bytes, it must have at most {}", field, text.size(), max_key_bytes);
  if (!is_storable_text(text))
    return invalid("{} is not valid UTF-8 without NUL", field);
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

result<write_operation> to_operation(archive_key_cancel&& message, const validation_context& context) {
  auto key = resolve(message.key, context);
  if (!key)
    return pass_failure(key);
  return cancel_request{*key};
}

result<write_operation> to_operation(destroy_key&& message, const validation_context& context) {
  segment_info segment{message.collection, std::move(message.key), message.version, message.timestamp, 0,
                       message.segment_num};
  if (auto checked = all_of([&] { return check_segment(segment); },
                            [&] { return check_optional_version(message.deletes, "unified_id to delete"); });
      !checked)
    return pass_failure(checked);
  if (message.deletes == message.version)
    return invalid("unified_id to delete is the tombstone's own, {}", message.version.value);
  auto nodes = resolve_nodes(message.nodes, context);
  if (!nodes)
    return pass_failure(nodes);
  return destroy_request{{{}, std::move(segment), *nodes}, message.deletes};
}

template <conjoined_action Action>
result<write_operation> to_operation(conjoined_step<Action>&& message, const validation_context& context) {
  if (auto checked = all_of(
        [&] { return check_collection(message.collection); }, [&] { return check_key(message.key); },
        [&] { return check_version(message.version); }, [&] { return check_timestamp(message.timestamp); });
      !checked)
    return pass_failure(checked);
  auto handoff = resolve_handoff(message.handoff_node, context);
  if (!handoff)
    return pass_failure(handoff);
  return conjoined_request{
    {0, message.collection, std::move(message.key), message.version, message.timestamp, *handoff, Action}};
}
template result<write_operation> to_operation(start_conjoined_archive&&, const validation_context&);
template result<write_operation> to_operation(abort_conjoined_archive&&, const validation_context&);
template result<write_operation> to_operation(finish_conjoined_archive&&, const validation_context&);

result<write_operation> to_operation(gateway_start&& message, const validation_context& context) {
  if (auto checked = all_of([&] { return check_version(message.version); },
                            [&] { return check_timestamp(message.timestamp); });
      !checked)
    return pass_failure(checked);
  auto source = context.nodes.id_of(message.source_node);
  if (!source)
    return pass_failure(source);
  return gateway_start_request{*source, message.timestamp};
}

result<write_operation> to_operation(purge&& message, const validation_context& context) {
  if (message.keys.empty() || message.keys.size() > max_purge_keys)
    return invalid("purge names {} segments, it must name 1..{}", message.keys.size(), max_purge_keys);
  purge_request request;
  for (const auto& named : message.keys) {
    if (named.handoff_node.empty())
      return invalid("purge of unified_id {} names no handoff node: only handoff copies are purged",
                     named.version.value);
    auto key = resolve(named, context);
    if (!key)
      return pass_failure(key);
    request.keys.push_back(*key);
  }
  return request;
}

result<write_operation> to_operation(add_node&& message, const validation_context& context) {
  node_record node{message.node, std::move(message.name), std::move(message.host), message.port};
  if (node.node.value <= 0)
    return invalid("node number is {}, it must be 1..2147483647", node.node.value);
  if (!is_valid_name(node.name))
    return invalid("node name {} must have 1 to 63 characters of A-Z a-z 0-9 . _ -", quoted(node.name));
  if (node.host.size() > max_host_bytes || !is_storable_text(node.host))
    return invalid("host must be valid UTF-8 of at most {} bytes", max_host_bytes);
  if (node.port < 0 || node.port > 65'535)
    return invalid("port is {}, it must be 0..65535", node.port);
  if (auto checked = context.nodes.check_new(node); !checked)
    return pass_failure(checked);
  return configure_request{std::move(node)};
}

result<write_operation> to_operation(sync_value_file&&, const validation_context&) { return sync_request{}; }

result<void> validate(const list_handoffs& message, const validation_context& context) {
  if (auto checked = check_limit(message.limit); !checked)
    return checked;
  const auto node = context.nodes.id_of(message.node);
  return node ? result<void>{} : tl::unexpected(node.error());
}

result<void> validate(const list_nodes&, const validation_context&) { return {}; }

result<void> validate(const list_versions& message, const validation_context&) {
  return all_of([&] { return check_collection(message.collection); },
                [&] { return check_limit(message.limit); },
                [&] { return check_list_text(message.prefix, "prefix"); },
                [&] { return check_list_text(message.key_marker, "key_marker"); },
                [&] { return check_optional_version(message.version_marker, "version_marker"); });
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

result<void> validate(const lookup& message, const validation_context&) {
  return all_of([&] { return check_collection(message.collection); }, [&] { return check_key(message.key); },
                [&] { return check_optional_version(message.version); });
}

result<void> validate(const list_keys& message, const validation_context&) {
  return all_of([&] { return check_collection(message.collection); },
                [&] { return check_limit(message.limit); },
                [&] { return check_list_text(message.prefix, "prefix"); },
                [&] { return check_list_text(message.marker, "marker"); });
}

namespace {

result<void> check_envelope_text(const std::string& text, std::string_view field) {
  if (text.size() > max_envelope_text_bytes)
    return invalid("{} has {} bytes, it must have at most {}", field, text.size(), max_envelope_text_bytes);
  return {};
}

} // namespace

result<void> validate(const envelope& env) {
  return all_of([&] { return check_envelope_text(env.client_tag, "client_tag"); },
                [&] { return check_envelope_text(env.user_request_id, "user_request_id"); });
}

result<void> validate(const hello& message) {
  return all_of([&] { return check_envelope_text(message.client_tag, "client_tag"); },
                [&] { return check_envelope_text(message.incarnation, "incarnation"); });
}

result<data_checksums> check_digests(const sequence_info& expected, const payload& data) {
  return compare_digests(expected, digest_payload(data.bytes()));
}

result<data_checksums> compare_digests(const sequence_info& expected, payload_digests digests) {
  if (digests.md5 != expected.md5)
    return fail(errc::md5_mismatch, fmt::format("data have MD5 {}, the message says {}", to_hex(digests.md5),
                                                to_hex(expected.md5)));
  if (digests.adler32 != expected.adler32)
    return fail(errc::adler32_mismatch,
                fmt::format("data have Adler-32 {}, the message says {}", digests.adler32, expected.adler32));
  return std::move(digests.checksums);
}

} // namespace cairn
