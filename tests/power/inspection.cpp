#include "tests/power/inspection.hpp"

#include "tests/power/receipts.hpp"
#include "tests/power/workload.hpp"

#include <algorithm>

#include <fmt/format.h>

namespace cairn::power {

namespace {

constexpr auto handoff_name = "east";

[[noreturn]] void broken(const std::string& what) { throw broken_promise(what); }

/// @throws broken_promise: what is known is not so
void settle(fact& of, bool is_seen, const std::string& what) {
  if (of.is_so == belief::yes && !is_seen)
    broken(what + " was acknowledged, or seen, and is not there");
  if (of.is_so == belief::no && is_seen)
    broken(what + " is there, though it was never sent, or refused, or taken back");
  of.seen(is_seen);
}

bool equal(const payload& a, const payload& b) {
  return std::equal(a.bytes().begin(), a.bytes().end(), b.bytes().begin(), b.bytes().end());
}

} // namespace

void inspection::run() {
  if (facts_.knows_east.is_so != belief::no) {
    const auto listed = node_.call<nodes_reply>(list_nodes{});
    settle(facts_.knows_east,
           std::any_of(listed.nodes.begin(), listed.nodes.end(),
                       [](const listed_node& node) { return node.name == handoff_name; }),
           "node east");
  }
  for (auto& u : facts_.uploads)
    look_at(u);
  for (auto& t : facts_.tombstones)
    look_at(t);
  check_handoffs();
  for (auto& row : facts_.conjoined_rows)
    look_at(row);
  check_listings();
  check_receipts();
}

void inspection::look_at(upload& u) {
  if (u.nodes.handoff == handoff_name && facts_.knows_east.is_so != belief::yes)
    broken(describe(u) + " is for a node that is not known");
  retrieve_start question;
  question.segment = u.key();
  auto reply = node_.call<retrieve_reply>(question);
  const auto is_there = reply.result == errc::success || (reply.result == errc::damaged && u.may_be_damaged);
  if (!is_there && reply.result != errc::not_found)
    broken(fmt::format("{} is answered {} {}", describe(u), to_string(reply.result), reply.error_message));
  settle(u.stored, is_there, describe(u));
  u.cancelled.unanswered = 0;
  if (!is_there) {
    u.mended();
    return;
  }
  if (reply.result == errc::damaged) {
    mend(u);
    reply = node_.call<retrieve_reply>(question);
    if (reply.result != errc::success)
      broken(fmt::format("{}, which was mended, is answered {} {}", describe(u), to_string(reply.result),
                         reply.error_message));
  }
  u.mended();
  u.has_survived = true;
  check_whole(u, reply);
  // What might have taken it back did not, and never will.
  u.is_retired = false;
  u.cancelled.seen(false);
  u.purged = belief::no;
}

/// A reader has found the damage: an archive of the same segment mends it.
void inspection::mend(upload& u) {
  const auto taken = [&](const archive_reply& reply) {
    if (reply.result != errc::success)
      broken(fmt::format("{} is to be mended, and is answered {} {}", describe(u), to_string(reply.result),
                         reply.error_message));
    return reply.proof;
  };
  for (std::size_t i = 0; i + 1 < u.data.size(); ++i)
    taken(i == 0 ? node_.call<archive_reply>(u.start()) : node_.call<archive_reply>(u.next(i)));
  const auto proof =
    taken(u.is_entire() ? node_.call<archive_reply>(u.entire()) : node_.call<archive_reply>(u.final()));
  if (proof.lsn == log_sequence_number{})
    broken(describe(u) + " was damaged, and what mended it has no receipt");
  note_proof(facts_, proof, describe(u));
  u.stored.proof = proof;
  u.mended_by(proof);
  ++facts_.mended;
}

void inspection::check_whole(const upload& u, const retrieve_reply& head) {
  if (head.segment != u.segment || head.nodes != u.nodes || head.file != u.file || head.meta != u.meta
      || head.sequence_count != static_cast<std::int32_t>(u.data.size()))
    broken(describe(u) + ": its row is of another segment");
  auto sequence = head.sequence;
  for (std::size_t i = 0; i < u.data.size(); ++i) {
    if (i != 0) {
      auto next = node_.call<retrieve_reply>(retrieve_next{{}, head.retrieval, static_cast<std::int32_t>(i)});
      if (next.result != errc::success)
        broken(fmt::format("{}: sequence {} is answered {} {}", describe(u), i, to_string(next.result),
                           next.error_message));
      sequence = std::move(next.sequence);
    }
    if (sequence.info != u.sequences[i] || !equal(sequence.data, u.data[i]))
      broken(fmt::format("{}: sequence {} has other bytes", describe(u), i));
  }
}

void inspection::look_at(tombstone& t) {
  if (!t.message.nodes.handoff.empty())
    return; // look-ups do not show it, lists of handoffs do
  const auto reply =
    node_.call<lookup_reply>(lookup{{}, t.message.collection, t.message.key, t.message.version});
  settle(t.recorded, reply.result == errc::success && reply.is_tombstone,
         fmt::format("tombstone {}", t.message.version.value));
}

/// Visible when it is complete and not aborted, if it has a part and no tombstone hides it; one of both facts
/// at most is in doubt.
void inspection::look_at(conjoined& row) {
  const auto part = std::find_if(facts_.uploads.begin(), facts_.uploads.end(), [&](const upload& u) {
    return u.segment.version == row.version && u.stored.is_so == belief::yes;
  });
  row.completed.unanswered = row.aborted.unanswered = 0;
  if (part == facts_.uploads.end() || is_hidden(*part))
    return;
  const auto reply = node_.call<lookup_reply>(lookup{{}, row.collection, row.key, row.version});
  const auto is_visible = reply.result == errc::success;
  const auto what = fmt::format("conjoined {}", row.version.value);
  if (is_visible) {
    settle(row.completed, true, what + "'s finish");
    settle(row.aborted, false, what + "'s abort");
  } else if (row.aborted.is_so == belief::no) {
    settle(row.completed, false, what + "'s finish");
  } else if (row.completed.is_so == belief::yes) {
    settle(row.aborted, true, what + "'s abort");
  }
}

void inspection::check_handoffs() {
  if (facts_.knows_east.is_so != belief::yes)
    return;
  auto held = node_.call<handoff_reply>(list_handoffs{{}, handoff_name, 0, max_list_limit}).handoffs;
  const auto take = [&](const segment_info& segment, const std::string& source, bool is_tombstone,
                        unified_id deletes) {
    return std::erase_if(held, [&](const held_handoff& each) {
      return each.segment == segment && each.source_node == source && each.is_tombstone == is_tombstone
             && each.deletes == deletes;
    });
  };
  for (auto& u : facts_.uploads)
    if (!u.nodes.handoff.empty())
      if (take(u.segment, u.nodes.source, false, {}) != (u.stored.is_so == belief::yes ? 1U : 0U))
        broken(describe(u) + ": the list of handoffs says otherwise");
  for (auto& t : facts_.tombstones) {
    const auto& m = t.message;
    if (!m.nodes.handoff.empty())
      settle(
        t.recorded,
        take({m.collection, m.key, m.version, m.timestamp, 0, m.segment_num}, m.nodes.source, true, m.deletes)
          == 1,
        fmt::format("handoff of tombstone {}", m.version.value));
  }
  if (!held.empty())
    broken("a handoff is listed that nobody sent");
}

// --- what is visible ---

bool inspection::is_hidden(const upload& u) const {
  return std::any_of(facts_.tombstones.begin(), facts_.tombstones.end(), [&](const tombstone& t) {
    const auto& m = t.message;
    return t.recorded.is_so == belief::yes && m.nodes.handoff.empty() && m.key == u.segment.key
           && (m.deletes == unified_id{} ? u.segment.version < m.version : u.segment.version == m.deletes);
  });
}

bool inspection::is_visible(const upload& u) const {
  if (u.stored.is_so != belief::yes || !u.nodes.handoff.empty() || is_hidden(u))
    return false;
  return u.segment.conjoined_part == 0
         || std::any_of(facts_.conjoined_rows.begin(), facts_.conjoined_rows.end(),
                        [&](const conjoined& row) {
                          return row.version == u.segment.version && row.completed.is_so == belief::yes
                                 && row.aborted.is_so == belief::no;
                        });
}

std::vector<inspection::version> inspection::visible_versions() const {
  std::vector<version> all;
  for (const auto& u : facts_.uploads) {
    if (!is_visible(u))
      continue;
    const auto same =
      std::find_if(all.begin(), all.end(), [&](const version& v) { return v.number == u.segment.version; });
    if (same != all.end())
      same->size_bytes += u.file.size_bytes; // parts of one conjoined archive
    else
      all.push_back({u.segment.key, u.segment.version, u.file.size_bytes});
  }
  std::sort(all.begin(), all.end(), [](const version& a, const version& b) {
    return a.key != b.key ? a.key < b.key : a.number > b.number;
  });
  return all;
}

void inspection::check_listings() {
  auto expected = visible_versions();
  check_lookups(expected);
  const auto compare = [&](const list_reply& reply, const std::string& what) {
    std::vector<version> listed;
    for (const auto& each : reply.keys)
      listed.push_back({each.key, each.version, each.size_bytes});
    if (reply.result != errc::success || listed != expected)
      broken(fmt::format("{}: {} versions are listed where {} are visible, or they differ", what,
                         listed.size(), expected.size()));
  };
  compare(node_.call<list_reply>(list_versions{{}, the_collection, {}, {}, {}, max_list_limit}),
          "list_versions");
  const auto same_key = [](const version& a, const version& b) { return a.key == b.key; };
  expected.erase(std::unique(expected.begin(), expected.end(), same_key), expected.end());
  compare(node_.call<list_reply>(list_keys{{}, the_collection, {}, {}, max_list_limit}), "list_keys");
}

/// The newest of each key, and what the log says of it.
void inspection::check_lookups(const std::vector<version>& visible) {
  const version* last = nullptr;
  for (const auto& v : visible) {
    const auto is_newest = last == nullptr || last->key != v.key;
    last = &v;
    if (!is_newest)
      continue;
    const auto reply = node_.call<lookup_reply>(lookup{{}, the_collection, v.key, {}, true});
    if (reply.result != errc::success || reply.version != v.number || reply.file.size_bytes != v.size_bytes)
      broken(fmt::format("look-up of {} does not find version {}", v.key, v.number.value));
    for (const auto& u : facts_.uploads) {
      if (u.segment.version != v.number || u.stored.is_so != belief::yes || !u.stored.proof)
        continue;
      const auto held =
        std::find_if(reply.segments.begin(), reply.segments.end(), [&](const held_segment& each) {
          return each.conjoined_part == u.segment.conjoined_part && each.segment_num == u.segment.segment_num;
        });
      auto proof = *u.stored.proof;
      proof.round = {};
      // A final behind a roll-over is not looked for.
      const auto is_behind =
        held != reply.segments.end() && held->value_file != proof.value_file && held->proof == receipt{};
      const auto may_differ = is_behind || u.has_rotted; // a mended one has two finals
      if (held == reply.segments.end() || (held->proof != proof && !may_differ))
        broken(describe(u) + ": look-up gives another receipt");
    }
  }
}

void inspection::check_receipts() {
  const receipts log(node_.disk(), node_.spaces_root());
  const auto check = [](const std::string& difference, const std::string& what) {
    if (!difference.empty())
      broken(fmt::format("receipt of {}: {}", what, difference));
  };
  for (const auto& u : facts_.uploads) {
    if (u.stored.proof)
      check(log.check_final(*u.stored.proof, u), describe(u));
    if (u.cancelled.proof)
      check(log.check_cancel(*u.cancelled.proof, u), "cancel of " + describe(u));
  }
  for (const auto& t : facts_.tombstones)
    if (t.recorded.proof)
      check(log.check_tombstone(*t.recorded.proof, t), fmt::format("tombstone {}", t.message.version.value));
  for (const auto& row : facts_.conjoined_rows)
    for (const auto* step : {&row.completed, &row.aborted})
      if (step->proof)
        check(log.check_conjoined(*step->proof, row), fmt::format("conjoined {}", row.version.value));
}

} // namespace cairn::power
