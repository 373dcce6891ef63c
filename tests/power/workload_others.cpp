#include "core/store/file_spaces.hpp"
#include "tests/power/workload.hpp"

#include <algorithm>

#include <fmt/format.h>

namespace cairn::power {

void workload::cancel() {
  auto* u = chance(random_, 15) ? &plan(1) : any_of(facts_.uploads, [](const upload& each) {
    return each.purged == belief::no && (!each.is_retired || each.cancelled.is_so == belief::yes);
  });
  if (u == nullptr)
    return;
  u->is_retired = true;
  if (u->stored.is_so == belief::yes)
    u->stored.is_so = belief::maybe;
  u->cancelled.sent();
  if (u->is_entire())
    u->sent = u->data.size();
  if (u->is_entire() || chance(random_, 50))
    u->is_open = false;
  const auto what = "cancel of " + describe(*u);
  send(pick(random_, node_.client_count), archive_key_cancel{{}, u->key()}, what,
       [=, this](const archive_reply& reply) {
         acknowledge(u->cancelled, reply, what + fmt::format(" #{}", reply.env.message_id));
         if (reply.result == errc::success)
           u->stored.is_so = belief::no;
       });
}

void workload::purge_copies() {
  std::vector<upload*> copies;
  for (auto& u : facts_.uploads)
    if (!u.nodes.handoff.empty() && !u.is_retired && u.stored.is_so == belief::yes
        && u.stored.unanswered == 0)
      copies.push_back(&u);
  if (copies.empty())
    return look();
  purge message;
  for (auto* u : copies) {
    message.keys.push_back(u->key());
    u->is_retired = true;
    u->stored.is_so = u->purged = belief::maybe;
  }
  send(pick(random_, node_.client_count), message, fmt::format("purge of {} copies", copies.size()),
       [=, this](const archive_reply& reply) {
         if (reply.result != errc::success)
           return check_refusal(reply, false, "a purge");
         note_proof(reply, fmt::format("purge {}", reply.env.message_id));
         if (reply.count != static_cast<std::int64_t>(copies.size()))
           throw broken_promise(fmt::format("purge counts {} of {} copies", reply.count, copies.size()));
         for (auto* u : copies) {
           u->stored.is_so = belief::no;
           u->purged = belief::yes;
         }
       });
}

void workload::destroy() {
  const auto version = next_version_++;
  destroy_key message{
    {},
    the_collection,
    keys[pick(random_, keys.size())],
    unified_id{version},
    {},
    time_of(version),
    1,
    {"node-1", chance(random_, 20) && facts_.knows_east.is_so == belief::yes ? "east" : ""}};
  if (const auto* u = any_of(facts_.uploads, [](const upload&) { return true; });
      u != nullptr && chance(random_, 75)) {
    message.key = u->segment.key;
    message.deletes = u->segment.version;
  }
  auto* t = &facts_.tombstones.emplace_back(tombstone{message, {}});
  t->recorded.sent();
  const auto what = fmt::format("tombstone {}", version);
  send(pick(random_, node_.client_count), message, what, [=, this](const archive_reply& reply) {
    if (reply.result == errc::success && reply.version != t->message.version)
      throw broken_promise(what + ": the reply names another unified id");
    acknowledge(t->recorded, reply, what);
  });
}

template <class Step>
void workload::step_conjoined(conjoined& row, fact& what, const char* name) {
  what.sent();
  const auto text = fmt::format("{} of conjoined {}", name, row.version.value);
  send(pick(random_, node_.client_count),
       Step{{}, row.collection, row.key, row.version, time_of(row.version.value), {}}, text,
       [=, &what, this](const archive_reply& reply) {
         acknowledge(what, reply, text + fmt::format(" #{}", reply.env.message_id));
       });
}

/// Finish and abort are not in doubt both at once: no look-up could tell them apart.
void workload::conjoin() {
  auto* row = any_of(facts_.conjoined_rows, [](const conjoined& each) {
    return each.completed.is_so != belief::maybe && each.aborted.is_so != belief::maybe;
  });
  if (row != nullptr && chance(random_, 60)) {
    if (chance(random_, 65))
      step_conjoined<finish_conjoined_archive>(*row, row->completed, "finish");
    else
      step_conjoined<abort_conjoined_archive>(*row, row->aborted, "abort");
    return;
  }
  const auto version = next_version_++;
  auto& made = facts_.conjoined_rows.emplace_back(
    conjoined{the_collection, keys[pick(random_, keys.size())], unified_id{version}, {}, {}});
  const auto what = fmt::format("start of conjoined {}", version);
  send(pick(random_, node_.client_count),
       start_conjoined_archive{{}, made.collection, made.key, made.version, time_of(version), {}}, what,
       [=, this](const archive_reply& reply) {
         if (reply.result != errc::success)
           check_refusal(reply, false, what);
       });
  for (std::int32_t part = 1; part <= 2; ++part) {
    auto& u = plan(1);
    u.segment = {the_collection, made.key, made.version, time_of(version), part, 1};
    u.nodes.handoff.clear();
    send_last_of(u);
  }
}

void workload::start_gateway() {
  const std::string source = chance(random_, 50) ? "node-1" : "east";
  if (source == "east" && facts_.knows_east.is_so != belief::yes)
    return;
  const auto before = time_of(next_version_ - pick(random_, 5));
  std::vector<upload*> active;
  for (auto& u : facts_.uploads) {
    if (u.nodes.source != source || u.segment.timestamp >= before)
      continue;
    u.may_be_cancelled = true;
    if (u.life == life_ && u.start_acknowledged && u.is_open && !u.is_retired && !u.must_not_finish)
      active.push_back(&u);
  }
  send(pick(random_, node_.client_count), gateway_start{{}, unified_id{next_version_++}, before, source},
       "gateway start of " + source, [=, this](const archive_reply& reply) {
         if (reply.result != errc::success)
           return check_refusal(reply, false, "a gateway start");
         note_proof(reply, fmt::format("gateway start {}", reply.env.message_id));
         for (auto* u : active)
           if (is_healthy_ && u->is_open)
             u->must_not_finish = true;
       });
}

/// What was there after a start rots on the disk, wherever its first sequence lies: the data, or the
/// header of their record. The newest file is left alone: there a record that is damaged looks like one that
/// was never synced.
void workload::rot() {
  constexpr std::size_t unmistakable_bytes = 64;
  auto* u = any_of(facts_.uploads, [&](const upload& each) {
    return each.stored.is_so == belief::yes && each.stored.unanswered == 0 && !each.is_retired
           && !each.is_open && each.has_survived && !each.may_be_damaged
           && each.data.front().size() >= unmistakable_bytes;
  });
  if (u == nullptr)
    return look();
  const auto wanted = u->data.front().bytes();
  const auto rots_header = chance(random_, 30);
  std::vector<std::string> files;
  for (value_file_id id{1}; id.value < 1'000; ++id.value)
    if (auto path = value_file_path(node_.spaces_root(), space_id{1}, id); node_.disk().has_file(path))
      files.push_back(std::move(path));
  if (!files.empty())
    files.pop_back();
  for (const auto& path : files)
    node_.disk().damage(path, [&](std::vector<std::byte>& bytes) {
      for (auto at = bytes.begin();
           (at = std::search(at, bytes.end(), wanted.begin(), wanted.end())) != bytes.end();) {
        *(rots_header ? at - 1 : at + unmistakable_bytes / 2) ^= std::byte{1};
        ++at;
        u->has_rotted = u->may_be_damaged = true;
      }
    });
  if (u->may_be_damaged)
    trace(describe(*u) + " rots");
  look_at(u);
}

/// All of it is sent again, at once.
void workload::mend() {
  auto* u = any_of(facts_.uploads, [](const upload& each) {
    return each.damage_is_known && !each.is_retired && each.stored.is_so == belief::yes && !each.is_open;
  });
  if (u == nullptr)
    return look();
  for (std::size_t i = 0; i + 1 < u->data.size(); ++i) {
    const auto what = fmt::format("sequence {} of {}, to mend it", i, describe(*u));
    send_piece(*u, i, what, [=, this](const archive_reply& reply) {
      if (reply.result != errc::success)
        check_refusal(reply, u->is_retired || u->may_be_cancelled, what);
    });
  }
  const auto is_alone = u->stored.unanswered == 0;
  u->stored.sent();
  const auto what = "all of " + describe(*u) + ", to mend it";
  send_last(*u, what, [=, this](const archive_reply& reply) { check_mended(*u, reply, is_alone, what); });
}

void workload::check_mended(upload& u, const archive_reply& reply, bool was_alone, const std::string& what) {
  if (reply.result == errc::success && !u.is_retired) {
    note_proof(reply, describe(u));
    u.stored.acknowledged(reply.proof);
    facts_.mended += reply.proof.lsn == log_sequence_number{} ? 0 : 1;
    if (was_alone && u.stored.unanswered == 0)
      u.mended_by(reply.proof);
    else
      u.mended();
    return;
  }
  --u.stored.unanswered;
  if (reply.result == errc::damaged && u.may_be_damaged && !was_alone)
    return; // damage that was found since the other one asked
  const auto may_be_forgotten = u.is_retired || u.may_be_cancelled || !is_healthy_; // then the final is alone
  if (reply.result != errc::success)
    check_refusal(reply, may_be_forgotten, what);
}

} // namespace cairn::power
