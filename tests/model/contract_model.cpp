#include "tests/model/contract_model.hpp"

#include "core/digest.hpp"
#include "core/utf8.hpp"

#include <algorithm>

#include <fmt/format.h>

namespace cairn::model {

namespace {

// --- ranges of the fields, told apart from core/validation on purpose ---

constexpr std::int64_t year_1_us = -62'135'596'800'000'000;
constexpr std::int64_t year_10000_us = 253'402'300'800'000'000;
constexpr std::uint32_t largest_sequence_bytes = 16U << 20U;

bool is_collection(collection_id id) { return id.value > 0; }
bool is_text(const std::string& text, std::size_t least, std::size_t most) {
  return text.size() >= least && text.size() <= most && is_storable_text(text);
}
bool is_version(unified_id id) { return id.value >= 1 && id.value < std::uint64_t{1} << 63; }
bool is_timestamp(timestamp_us at) { return at.value >= year_1_us && at.value < year_10000_us; }
bool is_share(std::int32_t part, std::int32_t num) { return part >= 0 && num >= 1 && num <= 255; }
bool is_key(const named_segment_key& key) {
  return is_version(key.version) && is_share(key.conjoined_part, key.segment_num);
}
bool is_segment(const segment_info& s) {
  return is_collection(s.collection) && is_text(s.key, 1, 1024) && is_version(s.version)
         && is_timestamp(s.timestamp) && is_share(s.conjoined_part, s.segment_num);
}
bool is_metadata(const metadata& meta) {
  return meta.size() <= 64 && std::all_of(meta.begin(), meta.end(), [](const auto& pair) {
           return is_text(pair.first, 1, 1024) && is_text(pair.second, 0, 1024);
         });
}
bool is_node_name(const std::string& name) {
  return !name.empty() && name.size() <= 63 && std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '_'
           || c == '-';
  });
}

void check_data(const sequence_info& sequence, const payload& data, bool may_be_empty,
                std::set<errc>& faults) {
  if (sequence.sequence_num < 0 || sequence.padding_bytes > sequence.size_bytes
      || sequence.size_bytes > largest_sequence_bytes || (sequence.size_bytes == 0 && !may_be_empty))
    faults.insert(errc::invalid_message);
  if (data.size() != sequence.size_bytes)
    faults.insert(errc::size_mismatch);
  const auto digests = digest_payload(data.bytes());
  if (digests.md5 != sequence.md5)
    faults.insert(errc::md5_mismatch);
  if (digests.adler32 != sequence.adler32)
    faults.insert(errc::adler32_mismatch);
}

} // namespace

contract_model::contract_model(const std::string& node_name) { names_[node_name] = node_id{1}; }

/// Everything that is wrong with a message, whatever the state: it must be refused with one of these.
std::set<errc> contract_model::faults_of(const operation& message) const {
  std::set<errc> faults;
  const auto require = [&](bool right) {
    if (!right)
      faults.insert(errc::invalid_message);
  };
  const auto require_node = [&](const std::string& name) {
    if (!names_.contains(name))
      faults.insert(errc::unknown_node);
  };
  const auto require_handoff = [&](const std::string& name) { name.empty() ? void() : require_node(name); };
  const auto require_nodes = [&](const node_names& nodes) {
    require_node(nodes.source);
    require_handoff(nodes.handoff);
  };
  std::visit(
    [&]<class Message>(const Message& m) {
      require(m.env.user_request_id.size() <= 255);
      if constexpr (requires { m.segment; }) {
        require(is_segment(m.segment) && m.sequence.sequence_num == 0);
        require_nodes(m.nodes);
      }
      if constexpr (requires { m.file; })
        require(m.file.size_bytes >= 0 && is_metadata(m.meta));
      if constexpr (requires { m.data; })
        check_data(
          m.sequence, m.data, requires { m.file; }, faults);
      if constexpr (requires { m.key.handoff_node; }) {
        require(is_key(m.key));
        require_handoff(m.key.handoff_node);
      } else if constexpr (requires { m.collection; }) {
        require(is_collection(m.collection) && is_text(m.key, 1, 1024) && is_version(m.version)
                && is_timestamp(m.timestamp));
        if constexpr (requires { m.handoff_node; })
          require_handoff(m.handoff_node);
      }
      if constexpr (requires { m.deletes; }) {
        require(is_share(0, m.segment_num) && m.deletes != m.version
                && (m.deletes == unified_id{} || is_version(m.deletes)));
        require_nodes(m.nodes);
      }
      if constexpr (requires { m.source_node; }) {
        require(is_version(m.version) && is_timestamp(m.timestamp));
        require_node(m.source_node);
      }
      if constexpr (requires { m.keys; }) {
        require(!m.keys.empty() && m.keys.size() <= 1000);
        for (const auto& key : m.keys) {
          require(is_key(key) && !key.handoff_node.empty());
          require_handoff(key.handoff_node);
        }
      }
      if constexpr (requires { m.port; }) {
        require(m.node.value > 0 && is_node_name(m.name) && is_text(m.host, 0, 255) && m.port >= 0
                && m.port <= 65'535);
        for (const auto& [name, id] : names_)
          require((name == m.name) == (id == m.node));
      }
    },
    message);
  return faults;
}

// --- messages that store ---

void contract_model::arrive(const operation& message, batch_end end) {
  in_flight_.push_back({faults_of(message), {}, {}, 0, {}, {}});
  if (in_flight_.back().faults.empty())
    perform(message, in_flight_.back(), end);
}

void contract_model::perform(const operation& message, sent& expected, batch_end end) {
  const auto at = in_flight_.size() - 1;
  std::visit(
    [&]<class Message>(const Message& m) {
      if constexpr (std::is_constructible_v<segment_message, Message>) {
        expected.segment = key_of(m);
        segments_[*expected.segment].arrive(at, m, end);
        if constexpr (requires { m.deletes; })
          expected.version = m.version;
      } else if constexpr (requires { m.handoff_node; }) {
        perform_conjoined({m.collection, m.key, std::is_same_v<Message, abort_conjoined_archive>,
                           std::is_same_v<Message, finish_conjoined_archive>},
                          m.version, m.handoff_node, expected);
      } else if constexpr (requires { m.source_node; }) {
        for (auto& [key, segment] : segments_)
          expected.count += segment.gateway_start(m.source_node, m.timestamp) ? 1 : 0;
        expected.expected.has_receipt = expected.count != 0;
      } else if constexpr (requires { m.keys; }) {
        for (const auto& key : m.keys)
          segments_[key].purge();
        expected.count = static_cast<std::int64_t>(m.keys.size());
        expected.expected.has_receipt = true;
      } else if constexpr (requires { m.port; }) {
        names_[m.name] = m.node;
        expected.expected.has_receipt = true;
      }
    },
    message);
}

/// Times come in any order; the first of each kind stays.
void contract_model::perform_conjoined(const conjoined_row& step, unified_id version,
                                       const std::string& handoff, sent& expected) {
  const auto [found, is_new] =
    conjoined_.try_emplace({version, handoff}, conjoined_row{step.collection, step.key});
  auto& row = found->second;
  expected.undo = [this, key = found->first, before = is_new ? std::nullopt : std::optional(row)] {
    if (before)
      conjoined_.insert_or_assign(key, *before);
    else
      conjoined_.erase(key);
  };
  if (row.collection != step.collection || row.key != step.key) {
    expected.expected = {errc::duplicate_segment, false};
    return;
  }
  row.is_aborted = row.is_aborted || step.is_aborted;
  row.is_complete = row.is_complete || step.is_complete;
  expected.expected = {errc::success, true};
}

std::string contract_model::settle(const std::vector<std::optional<archive_reply>>& replies, batch_end end) {
  std::map<named_segment_key, std::map<place, std::optional<outcome>>, by_key_fields> of_segments;
  std::string difference;
  bool any_receipt = false;
  for (place at = 0; at < replies.size(); ++at) {
    const auto& expected = in_flight_[at];
    const auto& reply = replies[at];
    any_receipt = any_receipt || (reply && reply->proof.lsn != log_sequence_number{});
    const auto was_refused = reply && end == batch_end::stopped && reply->result == errc::shutting_down;
    if (expected.segment) {
      auto& entry = of_segments[*expected.segment][at];
      if (reply)
        entry = outcome{reply->result, reply->proof.lsn != log_sequence_number{}};
    } else if ((!reply && end != batch_end::answered) || was_refused) {
      if (expected.undo)
        expected.undo();
      continue;
    }
    if (difference.empty())
      difference = reply ? compare(expected, *reply) : end == batch_end::answered ? "no reply" : "";
  }
  for (const auto& [key, outcomes] : of_segments)
    if (auto& segment = segments_[key]; difference.empty() && !segment.settle(outcomes, end))
      difference = segment.explain();
  if (any_receipt)
    for (auto& [key, segment] : segments_)
      if (!of_segments.contains(key))
        segment.became_durable();
  in_flight_.clear();
  return difference;
}

std::string contract_model::compare(const sent& expected, const archive_reply& reply) const {
  if (reply.error_message.empty() != (reply.result == errc::success))
    return "the error message must be empty on success, and only then";
  if (!expected.faults.empty()) {
    if (expected.faults.contains(reply.result))
      return {};
    std::string text = "faults of the message:";
    for (const auto fault : expected.faults)
      text += fmt::format(" {}", to_string(fault));
    return text;
  }
  if (reply.result == errc::success && reply.count != expected.count)
    return fmt::format("count must be {}", expected.count);
  if (reply.result == errc::success && reply.version != expected.version)
    return fmt::format("unified id must be {}", expected.version.value);
  if (expected.segment)
    return {};
  const outcome seen{reply.result, reply.proof.lsn != log_sequence_number{}};
  return seen == expected.expected ? std::string{}
                                   : fmt::format("expected {}{}", to_string(expected.expected.code),
                                                 expected.expected.has_receipt ? " with receipt" : "");
}

void contract_model::stop() {
  for (auto& [key, segment] : segments_)
    segment.stop();
}

void contract_model::crash() {
  for (auto& [key, segment] : segments_)
    segment.crash();
}

std::vector<named_segment_key> contract_model::unsure() const {
  std::vector<named_segment_key> keys;
  for (const auto& [key, segment] : segments_)
    if (!segment.is_sure())
      keys.push_back(key);
  return keys;
}

// --- what readers must see ---

const world* contract_model::find(const named_segment_key& key) const {
  const auto found = segments_.find(key);
  return found == segments_.end() ? nullptr : &found->second.any_world();
}

std::vector<const content*> contract_model::final_segments() const {
  std::vector<const content*> out;
  for (const auto& [key, segment] : segments_)
    if (const auto& stored = segment.any_world().stored; stored && !stored->is_tombstone)
      out.push_back(&*stored);
  return out;
}

/// See core/README.md, "What a reader sees". @param rows_of_key rows of the same collection and key, none for
/// another node
bool contract_model::is_visible(const content& row, const std::vector<const content*>& rows_of_key) const {
  if (row.is_tombstone || !row.nodes.handoff.empty())
    return false;
  const auto& s = row.segment;
  if (s.conjoined_part != 0) {
    const auto found = conjoined_.find({s.version, std::string{}});
    if (found == conjoined_.end() || found->second.collection != s.collection || found->second.key != s.key
        || !found->second.is_complete || found->second.is_aborted)
      return false;
  }
  return std::none_of(rows_of_key.begin(), rows_of_key.end(), [&](const content* other) {
    if (!other->is_tombstone)
      return false;
    return other->deletes == unified_id{} ? s.version < other->segment.version : s.version == other->deletes;
  });
}

template <class Wanted>
std::vector<visible_version> contract_model::visible(collection_id collection, Wanted&& is_wanted) const {
  std::map<std::string, std::vector<const content*>> rows;
  for (const auto& [key, segment] : segments_)
    if (const auto& stored = segment.any_world().stored; stored && stored->nodes.handoff.empty()
                                                         && stored->segment.collection == collection
                                                         && is_wanted(stored->segment.key))
      rows[stored->segment.key].push_back(&*stored);
  std::vector<visible_version> out;
  for (const auto& [key, of_key] : rows)                            // keys in byte order,
    for (auto row = of_key.rbegin(); row != of_key.rend(); ++row) { // of each the newest version first
      if (!is_visible(**row, of_key))
        continue;
      if (out.empty() || out.back().key != key || out.back().version != (*row)->segment.version)
        out.push_back({key, (*row)->segment.version, {}});
      out.back().segments.insert(out.back().segments.begin(), *row);
    }
  return out;
}

std::vector<visible_version> contract_model::versions(collection_id collection,
                                                      const std::string& prefix) const {
  return visible(collection, [&](const std::string& key) { return key.starts_with(prefix); });
}

std::vector<visible_version> contract_model::versions_of(collection_id collection,
                                                         const std::string& key) const {
  return visible(collection, [&](const std::string& other) { return other == key; });
}

std::vector<const content*> contract_model::tombstones(collection_id collection, const std::string& key,
                                                       unified_id version) const {
  std::vector<const content*> out;
  for (const auto& [of, segment] : segments_)
    if (const auto& stored = segment.any_world().stored;
        stored && stored->is_tombstone && stored->nodes.handoff.empty() && of.version == version
        && stored->segment.collection == collection && stored->segment.key == key)
      out.push_back(&*stored);
  return out;
}

std::vector<const content*> contract_model::handoffs(const std::string& node) const {
  std::vector<const content*> out;
  for (const auto& [key, segment] : segments_)
    if (const auto& stored = segment.any_world().stored; stored && key.handoff_node == node)
      out.push_back(&*stored);
  return out;
}

} // namespace cairn::model
