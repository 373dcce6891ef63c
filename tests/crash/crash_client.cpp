#include "tests/crash/crash_client.hpp"

#include "tests/harness/coordinator.hpp"

#include <algorithm>

#include <fmt/format.h>

namespace cairn::crash {

using namespace harness;

namespace {

constexpr std::size_t window = 8;
constexpr std::uint64_t numbers_of_a_client = 1'000'000'000;

std::vector<pending_reply<archive_reply>> send_segment(client& by, const sample_object& object) {
  std::vector<pending_reply<archive_reply>> replies;
  const auto count = static_cast<std::int32_t>(object.sequences.size());
  if (count == 1) {
    replies.push_back(by.send<archive_reply>(entire_of(object)));
    return replies;
  }
  replies.push_back(by.send<archive_reply>(start_of(object)));
  for (std::int32_t i = 1; i + 1 < count; ++i)
    replies.push_back(by.send<archive_reply>(next_of(object, i)));
  replies.push_back(by.send<archive_reply>(final_of(object)));
  return replies;
}

/// Waits for all. @returns the last, if all came
std::optional<archive_reply> last_of(std::vector<pending_reply<archive_reply>>& replies) {
  std::optional<archive_reply> last;
  auto came = true;
  for (auto& waiting : replies) {
    auto reply = waiting();
    came = came && reply.has_value();
    if (reply)
      last = std::move(*reply);
  }
  return came ? last : std::nullopt;
}

} // namespace

crash_client::crash_client(std::uint64_t seed, std::uint64_t index, std::string data_directory)
    : seed_(seed), random_(seed * 101 + index), next_number_((index + 1) * numbers_of_a_client),
      net_(open_network()), evidence_(std::move(data_directory)) {}

sample_object crash_client::segment_of(const remembered& object, std::size_t part) const {
  auto segment = crash::segment_of(object.number, part, object.version);
  segment.source = node_name_;
  return segment;
}

void crash_client::load(const host_port& host, load_watch& watch) {
  const auto by = client::connect(net_->wire(), host);
  if (!by)
    return;
  use(**by);
  std::deque<operation> under_way;
  is_over_ = false;
  while (!is_over_ && !watch.is_stopped()) {
    under_way.push_back(begin(**by));
    if (under_way.size() < window)
      continue;
    settle(std::move(under_way.front()), watch);
    under_way.pop_front();
  }
  for (auto& op : under_way)
    settle(std::move(op), watch);
}

crash_client::operation crash_client::begin(client& by) {
  const auto dice = random_() % 100;
  if (dice < 8)
    return give_up(by);
  if (dice < 25) {
    // What is being mended is left alone.
    const auto index = any_present([](const remembered& each) { return each.bytes != condition::unclear; });
    return index ? remove(by, *index) : store(by);
  }
  if (dice < 50)
    if (const auto index = next_damaged())
      return mend(by, *index);
  return store(by);
}

template <class Wanted>
std::optional<std::size_t> crash_client::any_present(Wanted&& is_wanted) {
  constexpr int tries = 10;
  for (int i = 0; i < tries && !objects_.empty(); ++i)
    if (const auto index = random_() % objects_.size();
        objects_[index].state == presence::present && is_wanted(objects_[index]))
      return index;
  return std::nullopt;
}

std::optional<std::size_t> crash_client::next_damaged() {
  const auto found = std::ranges::find_if(objects_, [](const remembered& each) {
    return each.state == presence::present && each.bytes == condition::damaged;
  });
  return found == objects_.end() ? std::nullopt : std::optional<std::size_t>(found - objects_.begin());
}

void crash_client::rot() {
  const auto index = any_present([](const remembered& each) {
    const auto shape = shape_of(each.number);
    return each.bytes == condition::sound && each.value_file != value_file_id{} && !shape.is_conjoined()
           && shape.parts.front().front() != 0;
  });
  if (!index)
    return;
  auto& object = objects_[*index];
  const auto within = random_() % shape_of(object.number).parts.front().front();
  if (!evidence_.rot(object.value_file, object.offset_bytes + within))
    return;
  object.stored = {};
  object.bytes = condition::rotten;
}

crash_client::operation crash_client::store(client& by) {
  objects_.push_back({next_number_++, by.next_unified_id(), presence::open, {}});
  operation op{objects_.size() - 1, fact::final, presence::present, presence::absent, true, {}};
  const auto& object = objects_.back();
  if (!shape_of(object.number).is_conjoined()) {
    op.replies = send_segment(by, segment_of(object, 0));
    return op;
  }
  op.what = fact::conjoined;
  if (store_parts(by, object.number, object.version))
    op.replies.push_back(by.send<archive_reply>(step_of<finish_conjoined_archive>(segment_of(object, 0))));
  else
    objects_.back().state = op.done = presence::absent; // nobody says that it is finished
  return op;
}

/// The parts of a conjoined object; they count only once it is finished. @returns whether all are stored
bool crash_client::store_parts(client& by, std::uint64_t number, unified_id version) {
  const remembered object{number, version, presence::absent, {}};
  const auto count = shape_of(number).parts.size();
  std::vector<std::vector<pending_reply<archive_reply>>> under_way(count + 1);
  under_way[0].push_back(by.send<archive_reply>(step_of<start_conjoined_archive>(segment_of(object, 0))));
  for (std::size_t part = 0; part < count; ++part)
    under_way[part + 1] = send_segment(by, segment_of(object, part));
  auto all = true;
  for (std::size_t i = 0; i < under_way.size(); ++i) {
    const auto reply = last_of(under_way[i]);
    all = all && reply && reply->result == errc::success;
    if (reply && reply->result == errc::success)
      keep(*reply, i == 0 ? fact::conjoined : fact::final, version);
    is_over_ = is_over_ || !reply;
  }
  return all;
}

/// An upload that ends before its final: left alone, or cancelled.
crash_client::operation crash_client::give_up(client& by) {
  while (shape_of(next_number_).parts.front().front() == 0) // a start is never empty
    ++next_number_;
  objects_.push_back({next_number_++, by.next_unified_id(), presence::absent, {}});
  operation op{objects_.size() - 1, fact::cancel, presence::absent, presence::absent, random_() % 2 == 0, {}};
  const auto segment = segment_of(objects_.back(), 0);
  op.replies.push_back(by.send<archive_reply>(start_of(segment)));
  if (op.is_promise)
    op.replies.push_back(by.send<archive_reply>(archive_key_cancel{{}, segment.key()}));
  return op;
}

/// An archive of the same segment, all of it.
crash_client::operation crash_client::mend(client& by, std::size_t index) {
  auto& object = objects_[index];
  object.bytes = condition::unclear;
  operation op{index, fact::final, presence::present, presence::present, true, {}};
  op.replies = send_segment(by, segment_of(object, 0));
  return op;
}

/// A delete of that version or of all up to now, a cancel, or the abort of a conjoined one.
crash_client::operation crash_client::remove(client& by, std::size_t index) {
  auto& object = objects_[index];
  object.state = presence::open;
  operation op{index, fact::tombstone, presence::absent, presence::present, true, {}};
  const auto segment = segment_of(object, 0);
  if (random_() % 2 == 0) {
    auto request = delete_of(by, segment);
    if (random_() % 2 == 0)
      request.deletes = {};
    op.replies.push_back(by.send<archive_reply>(std::move(request)));
  } else if (shape_of(object.number).is_conjoined()) {
    op.what = fact::conjoined;
    op.replies.push_back(by.send<archive_reply>(step_of<abort_conjoined_archive>(segment)));
  } else {
    op.what = fact::cancel;
    op.replies.push_back(by.send<archive_reply>(archive_key_cancel{{}, segment.key()}));
  }
  return op;
}

void crash_client::settle(operation op, load_watch& watch) {
  if (op.replies.empty())
    return;
  auto& object = objects_[op.object];
  const auto reply = last_of(op.replies);
  if (!reply) {
    is_over_ = true;
    return;
  }
  if (reply->result == errc::success) {
    if (!op.is_promise)
      return;
    object.state = op.done;
    if (op.what == fact::final) {
      counts_.mended += object.bytes == condition::unclear ? 1 : 0;
      object.stored = reply->proof;
      object.bytes = condition::sound;
      object.value_file = {}; // they have a new place
    } else
      keep(*reply, op.what, op.what == fact::tombstone ? reply->version : object.version);
    if (reply->proof == receipt{})
      report(object, "acknowledged without a receipt");
    watch.acknowledged();
  } else if (is_definite(reply->result)) {
    object.state = op.otherwise;
    if (reply->result == errc::shutting_down)
      is_over_ = true;
    else
      report(object, fmt::format("answered {}: {}", to_string(reply->result), reply->error_message));
  }
}

void crash_client::keep(const archive_reply& reply, fact what, unified_id version) {
  receipts_.push_back({reply.proof, version, what});
}

} // namespace cairn::crash
