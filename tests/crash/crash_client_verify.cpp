#include "tests/crash/crash_client.hpp"

#include <fmt/format.h>

namespace cairn::crash {

using namespace harness;

namespace {

constexpr std::size_t objects_at_once = 32;

/// Takes a reply that is under way; asks again while the node has no database, which is no answer.
template <class Reply, class Request>
Reply settled(client& by, pending_reply<Reply>& under_way, const Request& request) {
  auto reply = under_way();
  for (const auto until = soon(); reply && reply->result == errc::database_unavailable;) {
    if (std::chrono::steady_clock::now() > until)
      throw harness_error("the database does not come back");
    reply = by.call<Reply>(request);
  }
  if (!reply)
    throw harness_error("no reply: " + reply.error().message);
  return std::move(*reply);
}

/// All bytes of a retrieval whose first reply has come. @error of the first reply that is none
result<std::string> bytes_of(client& by, const retrieve_reply& first) {
  std::string bytes;
  const auto append = [&](const retrieve_reply& reply) {
    const auto data = reply.sequence.data.bytes();
    bytes.append(reinterpret_cast<const char*>(data.data()), data.size());
  };
  if (first.result != errc::success)
    return fail(first.result, first.error_message);
  append(first);
  for (auto i = first.first_sequence + 1; first.retrieval != 0 && i <= first.last_sequence; ++i) {
    const retrieve_next next{{}, first.retrieval, i};
    auto under_way = by.send<retrieve_reply>(next);
    const auto reply = settled(by, under_way, next);
    if (reply.result != errc::success)
      return fail(reply.result, reply.error_message);
    append(reply);
  }
  return bytes;
}

} // namespace

/// What is asked about one object: many are under way, or a long run would wait for round trips.
struct crash_client::question {
  remembered* object;
  lookup what;
  pending_reply<lookup_reply> found;
  std::vector<retrieve_start> parts; ///< none if nobody may see it
  std::vector<pending_reply<retrieve_reply>> first_replies;
};

tally& tally::operator+=(const tally& more) {
  receipts += more.receipts;
  objects_read += more.objects_read;
  objects_hidden += more.objects_hidden;
  open_whole += more.open_whole;
  open_absent += more.open_absent;
  damaged += more.damaged;
  mended += more.mended;
  lost += more.lost;
  return *this;
}

void crash_client::verify(const host_port& host, bool is_settled) {
  const auto by = client::connect(net_->wire(), host);
  if (!by)
    throw harness_error(by.error().message);
  use(**by);
  std::deque<question> asked;
  for (auto& object : objects_) {
    asked.push_back(ask_about(**by, object));
    if (asked.size() < objects_at_once)
      continue;
    compare(**by, asked.front(), is_settled);
    asked.pop_front();
  }
  for (auto& one : asked)
    compare(**by, one, is_settled);
  compare_receipts();
}

crash_client::question crash_client::ask_about(client& by, remembered& object) {
  const auto shape = shape_of(object.number);
  question asked{&object, {{}, collection_id{1}, shape.key, object.version, false}, {}, {}, {}};
  // Reading receipts costs a read of the file each: enough of them to see one that is wrong.
  asked.what.with_receipts = random_() % 4 == 0;
  asked.found = by.send<lookup_reply>(asked.what);
  if (object.state == presence::absent)
    return asked;
  for (std::size_t part = 0; part < shape.parts.size(); ++part) {
    retrieve_start start;
    start.segment = {object.version, shape.is_conjoined() ? static_cast<std::int32_t>(part) + 1 : 0, 1, {}};
    asked.first_replies.push_back(by.send<retrieve_reply>(start));
    asked.parts.push_back(std::move(start));
  }
  return asked;
}

void crash_client::compare(client& by, question& asked, bool is_settled) {
  auto& object = *asked.object;
  const auto found = settled(by, asked.found, asked.what);
  const auto was_open = object.state == presence::open;
  if (found.result == errc::not_found) {
    if (object.state == presence::present)
      return report(object, "LOST: not found");
    ++counts_.objects_hidden;
    if (was_open && is_settled) {
      object.state = presence::absent;
      ++counts_.open_absent;
    }
    return;
  }
  if (found.result != errc::success && !is_known_damage(object, found.result))
    return report(object, fmt::format("LOST: {}: {}", to_string(found.result), found.error_message));
  if (object.state == presence::absent)
    return report(object, "visible although it must not be");
  if (found.result != errc::success) // the look-up looked for a receipt
    found_damaged(object, is_settled);
  else
    compare_content(by, asked, found, is_settled);
  if (was_open && is_settled) {
    object.state = presence::present;
    ++counts_.open_whole;
  }
}

bool crash_client::is_known_damage(const remembered& object, errc answer) {
  return answer == errc::damaged && object.bytes != condition::sound;
}

void crash_client::found_damaged(remembered& object, bool is_settled) {
  counts_.damaged += object.bytes == condition::rotten ? 1 : 0;
  if (object.bytes != condition::unclear || is_settled) // else it may still be mended
    object.bytes = condition::damaged;
}

void crash_client::found_whole(remembered& object) {
  ++counts_.objects_read;
  if (object.bytes == condition::unclear)
    object.bytes = condition::sound;
  else if (object.bytes != condition::sound)
    report(object, "bytes that rot on the disk are read as if they were whole");
}

void crash_client::compare_content(client& by, question& asked, const lookup_reply& found, bool is_settled) {
  auto& object = *asked.object;
  const auto count = asked.parts.size();
  if (found.segments.size() != count)
    return report(object, fmt::format("LOST: {} of {} parts", found.segments.size(), count));
  for (std::size_t part = 0; part < count; ++part) {
    const auto segment = segment_of(object, part);
    const auto first = settled(by, asked.first_replies[part], asked.parts[part]);
    const auto bytes = bytes_of(by, first);
    if (!bytes && is_known_damage(object, bytes.error().code))
      return found_damaged(object, is_settled);
    if (!bytes)
      return report(object, fmt::format("LOST: part {}: {}: {}", part, to_string(bytes.error().code),
                                        bytes.error().message));
    if (*bytes != content_of(segment) || first.file != segment.file
        || first.segment.key != segment.segment.key)
      return report(object, fmt::format("LOST: part {} differs", part));
    const auto& held = found.segments[part];
    if (!evidence_.holds(held.value_file, held.offset_bytes, segment.sequences.front().bytes()))
      return report(object, fmt::format("LOST: part {} is not on the disk where the node says", part));
  }
  // The round is not in the log, so a look-up cannot tell it.
  auto stored = object.stored;
  stored.round = {};
  if (const auto& proof = found.segments.front().proof;
      proof != receipt{} && object.stored != receipt{} && proof != stored)
    return report(object, "its receipt is another one now");
  found_whole(object);
  object.value_file = found.segments.front().value_file;
  object.offset_bytes = found.segments.front().offset_bytes;
}

void crash_client::compare_receipts() {
  for (const auto& object : objects_) {
    if (object.stored == receipt{})
      continue;
    ++counts_.receipts;
    if (const auto why = evidence_.objection_to({object.stored, object.version, fact::final}); !why.empty())
      report(object, "LOST: its receipt: " + why);
  }
  for (const auto& kept : receipts_) {
    ++counts_.receipts;
    if (const auto why = evidence_.objection_to(kept); !why.empty())
      report({0, kept.version, presence::open, kept.proof}, "LOST: a receipt: " + why);
  }
}

void crash_client::report(const remembered& object, const std::string& what) {
  constexpr std::size_t enough = 100;
  ++counts_.lost;
  if (problems_.size() < enough)
    problems_.push_back(fmt::format("CAIRN_SEED={}: object {} version {} lsn {}: {}", seed_, object.number,
                                    object.version.value, object.stored.lsn.value, what));
}

} // namespace cairn::crash
