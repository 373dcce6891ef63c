#include "tests/power/workload.hpp"

#include "tests/harness/archives.hpp"

#include <algorithm>

#include <fmt/format.h>

namespace cairn::power {

namespace {

std::size_t some_size(random_source& random) {
  switch (pick(random, 8)) {
    case 0: return 0;
    case 1: return 1 + pick(random, 20'000); // over many pages, that may be torn
    default: return 1 + pick(random, 2'500);
  }
}

} // namespace

std::string describe(const named_segment_key& key) {
  return fmt::format("{}/{}/{}{}{}", key.version.value, key.conjoined_part, key.segment_num,
                     key.handoff_node.empty() ? "" : "@", key.handoff_node);
}

std::string describe(const upload& of) { return "segment " + describe(of.key()); }

void note_proof(facts& known, const receipt& proof, const std::string& what) {
  if (proof.lsn == log_sequence_number{})
    return;
  const auto& of = known.given_out.try_emplace(proof.lsn, what).first->second;
  if (of != what)
    throw broken_promise(
      fmt::format("log number {} acknowledges {}, and before it {}", proof.lsn.value, what, of));
}

workload::workload(power_node& node, facts& known, random_source& random)
    : node_(node), facts_(known), random_(random) {}

void workload::begin_life() {
  pending_.clear();
  ++life_;
  is_healthy_ = true;
  read_failures_.clear();
  write_failures_.clear();
  is_stopping_ = false;
}

void workload::act() {
  const auto dice = pick(random_, 100);
  if (dice < 24)
    archive_new();
  else if (dice < 36)
    open_upload();
  else if (dice < 56)
    go_on();
  else if (dice < 62)
    repeat();
  else if (dice < 69)
    cancel();
  else if (dice < 74)
    destroy();
  else if (dice < 82)
    conjoin();
  else if (dice < 85)
    purge_copies();
  else if (dice < 87)
    start_gateway();
  else if (dice < 94)
    look();
  else if (dice < 96)
    send(pick(random_, node_.client_count), sync_value_file{}, "sync", [this](const archive_reply& reply) {
      if (reply.result != errc::success)
        check_refusal(reply, false, "a sync");
    });
  else if (dice < 97)
    rot();
  else if (dice < 98)
    mend();
  else
    node_.pass(std::chrono::milliseconds{300 + pick(random_, 1'000)});
}

// --- requests and replies ---

void workload::await(const pending_outcome<archive_reply>& out, const envelope& expected, on_reply take) {
  const auto& what = expected.user_request_id;
  pending_.push_back({[=, take = std::move(take)] {
                        if (out->error)
                          throw broken_promise(what + ": an error in place of a reply");
                        if (!out->reply)
                          return false;
                        const auto& reply = *out->reply;
                        trace(fmt::format("{} -> {} lsn {} {}", what, to_string(reply.result),
                                          reply.proof.lsn.value, reply.error_message));
                        if (!(reply.env == expected)
                            || reply.error_message.empty() != (reply.result == errc::success))
                          throw broken_promise(what + ": envelope or error message are wrong");
                        take(reply);
                        return true;
                      },
                      what});
}

void workload::take_replies() {
  std::erase_if(pending_, [](request& each) { return each.take(); });
}

void workload::check_refusal(const archive_reply& reply, bool is_allowed, const std::string& what) const {
  if (is_allowed || (is_stopping_ && reply.result == errc::shutting_down)
      || write_failures_.contains(reply.result))
    return;
  throw broken_promise(
    fmt::format("{} is answered {} {}", what, to_string(reply.result), reply.error_message));
}

void workload::note_proof(const archive_reply& reply, const std::string& what) {
  power::note_proof(facts_, reply.proof, what);
}

void workload::acknowledge(fact& of, const archive_reply& reply, const std::string& what) {
  if (reply.result == errc::success) {
    note_proof(reply, what);
    of.acknowledged(reply.proof);
    return;
  }
  check_refusal(reply, false, what);
  if (is_definite(reply.result))
    of.refused();
}

// --- uploads ---

upload& workload::plan(std::size_t sequence_count) {
  auto& u = facts_.uploads.emplace_back();
  const auto version = next_version_++;
  u.segment = {the_collection,
               keys[pick(random_, keys.size())],
               unified_id{version},
               time_of(version),
               0,
               static_cast<std::int32_t>(1 + pick(random_, 3))};
  u.nodes.source = chance(random_, 70) || facts_.knows_east.is_so != belief::yes ? "node-1" : "east";
  if (chance(random_, 15) && facts_.knows_east.is_so == belief::yes)
    u.nodes.handoff = "east";
  for (std::size_t i = 0; i < sequence_count; ++i) {
    const auto size = std::max<std::size_t>(some_size(random_), i + 1 < sequence_count ? 1 : 0);
    u.data.push_back(harness::bytes_of_seed(size, random_()));
    u.sequences.push_back(harness::describe(u.data.back(), static_cast<std::int32_t>(i)));
  }
  u.file = harness::describe(u.data);
  if (chance(random_, 30))
    u.meta["name"] = fmt::format("value {}", version);
  u.client = pick(random_, node_.client_count);
  u.life = life_;
  return u;
}

void workload::archive_new() { send_last_of(plan(1)); }

void workload::open_upload() { send_next_of(plan(2 + pick(random_, 3))); }

void workload::go_on() {
  auto* u = any_of(facts_.uploads, [&](const upload& each) { return each.is_open && !each.is_entire(); });
  if (u == nullptr)
    return open_upload();
  const auto messages = 1 + pick(random_, 3); // in flight at once
  for (std::size_t i = 0; i < messages && u->is_open; ++i)
    send_next_of(*u);
}

/// In a life after the one in which it began, it is cancelled, or forgotten.
void workload::send_next_of(upload& u) {
  const auto number = u.sent;
  if (number + 1 == u.data.size())
    return send_last_of(u);
  ++u.sent;
  const auto is_late = u.life != life_;
  const auto what = fmt::format("{} of {}", number == 0 ? "start" : "next", describe(u));
  const auto take = [&u, number, is_late, what, this](const archive_reply& reply) {
    if (reply.result == errc::success) {
      u.start_acknowledged = u.start_acknowledged || number == 0;
      if (is_late)
        throw broken_promise(what + " revives what was active before the node ended");
      return;
    }
    check_refusal(reply, is_late || u.is_retired || u.may_be_cancelled, what);
  };
  send_piece(u, number, what, take);
  if (is_late && chance(random_, 70))
    u.is_open = false;
}

void workload::send_last_of(upload& u) {
  const auto is_late = u.life != life_ && !u.is_entire();
  const auto is_forbidden =
    u.cancelled.is_so == belief::yes || u.must_not_finish || (is_late && u.stored.is_so == belief::no);
  u.is_open = false;
  u.sent = u.data.size();
  const auto is_alone = u.stored.unanswered == 0;
  u.stored.sent();
  if (is_forbidden)
    u.stored.is_so = belief::no;
  const auto what = fmt::format("{} of {}", u.is_entire() ? "entire" : "final", describe(u));
  // Whoever joins one that is under way may be told of damage found since; a final alone has not the bytes.
  const auto mends = u.is_entire() && is_alone && !u.may_be_cancelled && !u.is_retired;
  const auto take = [&u, is_forbidden, is_late, mends, this](const archive_reply& reply) {
    if (reply.result == errc::damaged && u.may_be_damaged && !(mends && is_healthy_))
      --u.stored.unanswered;
    else
      check_last(u, reply, is_forbidden, is_late);
  };
  send_last(u, what, take);
}

/// The start, or a next.
void workload::send_piece(const upload& u, std::size_t number, const std::string& what, on_reply take) {
  if (number == 0)
    send(u.client, u.start(), what, std::move(take));
  else
    send(u.client, u.next(number), what, std::move(take));
}

/// The message that makes it final.
void workload::send_last(const upload& u, const std::string& what, on_reply take) {
  if (u.is_entire())
    send(u.client, u.entire(), what, std::move(take));
  else
    send(u.client, u.final(), what, std::move(take));
}

void workload::check_last(upload& u, const archive_reply& reply, bool was_forbidden, bool is_late) {
  const auto what = describe(u);
  if (reply.result == errc::success) {
    if (was_forbidden)
      throw broken_promise(what + " is acknowledged, but it was cancelled, or forgotten, before");
    note_proof(reply, what);
    if (u.is_retired)
      --u.stored.unanswered;
    else
      u.stored.acknowledged(reply.proof);
    return;
  }
  if (was_forbidden && !(is_stopping_ && reply.result == errc::shutting_down) && is_healthy_
      && u.cancelled.is_so == belief::yes && reply.result != errc::cancelled)
    throw broken_promise(
      fmt::format("{} was cancelled, its repeat is answered {}", what, to_string(reply.result)));
  const auto is_known = u.stored.is_so == belief::yes && !u.is_retired;
  check_refusal(
    reply, was_forbidden || u.is_retired || u.may_be_cancelled || (!is_known && (is_late || u.life != life_)),
    what);
  if (!is_definite(reply.result))
    return;
  if (u.is_retired) // whether the cancel will be durable is open
    --u.stored.unanswered;
  else
    u.stored.refused();
}

void workload::repeat() {
  auto* u = any_of(facts_.uploads, [](const upload& each) {
    return !each.is_open && (!each.is_retired || each.cancelled.is_so == belief::yes)
           && each.purged == belief::no && each.sent == each.data.size();
  });
  if (u != nullptr && chance(random_, 60))
    return send_last_of(*u);
  auto* t = any_of(facts_.tombstones, [](const tombstone&) { return true; });
  if (t == nullptr)
    return;
  t->recorded.sent();
  const auto what = fmt::format("tombstone {}", t->message.version.value);
  send(pick(random_, node_.client_count), t->message, "again " + what,
       [=, this](const archive_reply& reply) { acknowledge(t->recorded, reply, what); });
}

// --- the rest ---

void workload::add_east() {
  if (facts_.knows_east.is_so == belief::yes)
    return;
  facts_.knows_east.sent();
  send(0, add_node{{}, node_id{2}, "east", {}, 0}, "node east",
       [this](const archive_reply& reply) { acknowledge(facts_.knows_east, reply, "node east"); });
}

void workload::look() {
  if (auto* u = any_of(facts_.uploads, [](const upload& each) { return each.sent != 0; }))
    look_at(u);
}

/// What is shown to a reader has to stay as much as what was acknowledged.
void workload::look_at(upload* u) {
  const auto must_be = u->stored.is_so == belief::yes;
  const auto was_damaged = u->may_be_damaged; // a mend may be answered first
  retrieve_start question;
  question.segment = u->key();
  const auto what = "look at " + describe(*u);
  trace(what);
  const auto out = node_.send<retrieve_reply>(pick(random_, node_.client_count), question);
  pending_.push_back({[=, this] {
                        if (!out->reply)
                          return false;
                        const auto& reply = *out->reply;
                        trace(fmt::format("{} -> {}", what, to_string(reply.result)));
                        // A gateway start that finds the final's round under way takes it back in the next
                        // one.
                        const auto may_go = u->may_be_cancelled && u->stored.unanswered != 0;
                        if (reply.result == errc::damaged && (was_damaged || u->may_be_damaged)) {
                          u->damage_is_known = u->may_be_damaged;
                          return true;
                        }
                        if (reply.result == errc::success && !u->is_retired && !may_go) {
                          if (u->stored.is_so == belief::no)
                            throw broken_promise(what + ": it is there, though it was refused");
                          u->stored.is_so = belief::yes;
                        }
                        if (reply.result != errc::success && must_be && !u->is_retired
                            && !read_failures_.contains(reply.result)
                            && !(is_stopping_ && reply.result == errc::shutting_down))
                          throw broken_promise(
                            fmt::format("{}: {} {}", what, to_string(reply.result), reply.error_message));
                        return true;
                      },
                      what});
}

void workload::fail_disk() {
  disk_fault fault;
  fault.nth = 1 + pick(random_, 3);
  fault.path_contains = "/spaces/";
  const auto dice = pick(random_, 10);
  if (dice < 6)
    fault.operation = disk_operation::sync;
  else if (dice < 8)
    fault.written_bytes = pick(random_, 9'000);
  else
    fault.operation = dice < 9 ? disk_operation::sync_directory : disk_operation::create;
  node_.disk().inject(fault);
  expect_faults(read_failures_of_disk, write_failures_of_disk);
}

} // namespace cairn::power
