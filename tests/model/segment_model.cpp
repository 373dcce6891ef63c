#include "tests/model/segment_model.hpp"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

namespace cairn::model {

namespace {

constexpr outcome written{errc::success, false}; ///< or a repeat of what is durable: no receipt
constexpr outcome durable{errc::success, true};

outcome refused(errc code) { return {code, false}; }

void add(std::vector<world>& to, world w) {
  if (std::find(to.begin(), to.end(), w) == to.end())
    to.push_back(std::move(w));
}

bool has_sequence(const content& whole, const sequence_info& info) {
  const auto number = static_cast<std::size_t>(info.sequence_num);
  return number < whole.sequences.size() && whole.sequences[number] == info;
}

bool ends_like(const content& whole, const archive_key_final& message) {
  return whole.sequences.back() == message.sequence && whole.file == message.file
         && whole.meta == message.meta;
}

// --- what waits for the round ---

/// The round tells what became of a completion.
void settle_completion(world& w) {
  const auto done = *std::exchange(w.finalizing, {});
  auto verdict = durable;
  if (w.stored)
    verdict = done.whole == *w.stored ? written : refused(errc::duplicate_segment);
  else if (done.began_beside_stored) // what it began beside was purged: its begin was not kept
    verdict = refused(errc::storage_error);
  else
    w.stored = done.whole;
  for (const auto at : done.waiting)
    w.answers[at] = verdict;
}

void settle_question(world& w, place at) {
  const auto question = w.questions.extract(at).mapped();
  if (!w.stored || w.stored->is_tombstone) {
    w.answers[at] = refused(w.is_cancelled && !w.stored ? errc::cancelled : errc::unknown_segment);
    return;
  }
  const auto* final = std::get_if<archive_key_final>(&question.repeat);
  const auto same = final != nullptr
                      ? ends_like(*w.stored, *final)
                      : has_sequence(*w.stored, std::get<archive_key_next>(question.repeat).sequence);
  w.answers[at] = same ? written : refused(errc::duplicate_segment);
}

/// Every world that can come of one while rounds go on, itself among them.
void settlements(const world& w, std::vector<world>& out) {
  add(out, w);
  if (w.finalizing) {
    auto settled = w;
    settle_completion(settled);
    settlements(settled, out);
  }
  for (const auto& [at, question] : w.questions) {
    auto settled = w;
    settle_question(settled, at);
    settlements(settled, out);
  }
}

// --- arrivals ---

/// One message comes to one world.
struct arrival {
  world& w;
  place at;

  void operator()(const archive_key_entire& m) const {
    content whole{m.segment, m.nodes, {m.sequence}, m.file, m.meta, false, {}, {{m.data}}};
    if (w.is_cancelled)
      answer(refused(errc::cancelled));
    else if (w.finalizing)
      w.finalizing->whole == whole ? w.finalizing->waiting.push_back(at)
                                   : answer(refused(errc::duplicate_segment));
    else if (w.active)
      answer(refused(errc::duplicate_segment));
    else
      w.finalizing = {std::move(whole), false, false, {at}};
  }

  void operator()(const archive_key_start& m) const {
    const auto begins_like = [&](const content& c) {
      return c.segment == m.segment && c.nodes == m.nodes && c.sequences.front() == m.sequence;
    };
    if (w.is_cancelled)
      return answer(refused(errc::cancelled));
    if (w.finalizing)
      return answer(begins_like(w.finalizing->whole) ? written : refused(errc::duplicate_segment));
    if (w.active)
      return answer(begins_like(w.active->so_far) ? written : refused(errc::duplicate_segment));
    w.active = {{m.segment, m.nodes, {m.sequence}, {}, {}, false, {}, {{m.data}}}, w.stored.has_value()};
    answer(written);
  }

  void operator()(const archive_key_next& m) const {
    if (w.is_cancelled)
      return answer(refused(errc::cancelled));
    if (w.finalizing)
      return answer(has_sequence(w.finalizing->whole, m.sequence) ? written
                                                                  : refused(errc::sequence_out_of_order));
    if (!w.active) {
      w.questions[at] = {m};
      return;
    }
    auto& so_far = w.active->so_far;
    if (m.sequence.sequence_num != next_number(so_far))
      return answer(has_sequence(so_far, m.sequence) ? written : refused(errc::sequence_out_of_order));
    extend(so_far, m.sequence, m.data);
    answer(written);
  }

  void operator()(const archive_key_final& m) const {
    if (w.is_cancelled)
      return answer(refused(errc::cancelled));
    if (w.finalizing)
      return ends_like(w.finalizing->whole, m) ? w.finalizing->waiting.push_back(at)
                                               : answer(refused(errc::duplicate_segment));
    if (!w.active) {
      w.questions[at] = {m};
      return;
    }
    if (m.sequence.sequence_num != next_number(w.active->so_far))
      return answer(refused(errc::sequence_out_of_order));
    auto done = *std::exchange(w.active, {});
    extend(done.so_far, m.sequence, m.data);
    done.so_far.file = m.file;
    done.so_far.meta = m.meta;
    w.finalizing = {std::move(done.so_far), done.began_beside_stored, done.is_durable, {at}};
  }

  void operator()(const archive_key_cancel&) const {
    if (w.finalizing)
      for (const auto overtaken : w.finalizing->waiting)
        w.answers[overtaken] = refused(errc::cancelled);
    w.finalizing.reset();
    w.active.reset();
    if (w.stored && !w.stored->is_tombstone)
      w.stored.reset();
    w.is_cancelled = true;
    answer(durable);
  }

  /// A tombstone takes its turn in the log behind whatever has its segment key.
  void operator()(const destroy_key& m) const {
    content tombstone{{m.collection, m.key, m.version, m.timestamp, 0, m.segment_num},
                      m.nodes,
                      {},
                      {},
                      {},
                      true,
                      m.deletes,
                      {}};
    if (w.stored)
      answer(*w.stored == tombstone ? written : refused(errc::duplicate_segment));
    else if ((w.finalizing && !w.finalizing->began_beside_stored)
             || (w.active && !w.active->began_beside_stored))
      answer(refused(errc::duplicate_segment));
    else {
      w.stored = std::move(tombstone);
      answer(durable);
    }
  }

private:
  void answer(outcome with) const { w.answers[at] = with; }
  static std::int32_t next_number(const content& so_far) {
    return static_cast<std::int32_t>(so_far.sequences.size());
  }
  static void extend(content& so_far, const sequence_info& info, const payload& data) {
    so_far.sequences.push_back(info);
    so_far.data.of.push_back(data);
  }
};

std::string to_text(const std::map<place, outcome>& answers) {
  std::string text;
  for (const auto& [at, answer] : answers)
    text += fmt::format(" #{} {}{}", at, to_string(answer.code), answer.has_receipt ? " with receipt" : "");
  return text;
}

} // namespace

named_segment_key key_of(const segment_message& message) {
  return std::visit(
    [](const auto& m) -> named_segment_key {
      if constexpr (requires { m.segment; })
        return {m.segment.version, m.segment.conjoined_part, m.segment.segment_num, m.nodes.handoff};
      else if constexpr (requires { m.deletes; })
        return {m.version, 0, m.segment_num, m.nodes.handoff};
      else
        return m.key;
    },
    message);
}

void segment_model::arrive(place at, const segment_message& message, batch_end end) {
  std::vector<world> next;
  for (const auto& before : worlds_) {
    std::vector<world> found;
    settlements(before, found);
    for (auto& w : found) {
      if (end != batch_end::answered) // the end came first
        add(next, w);
      if (end == batch_end::stopped) {
        auto turned_away = w;
        turned_away.answers[at] = refused(errc::shutting_down);
        add(next, std::move(turned_away));
      }
      std::visit(arrival{w, at}, message);
      add(next, std::move(w));
    }
  }
  worlds_ = std::move(next);
}

bool segment_model::settle(const std::map<place, std::optional<outcome>>& replies, batch_end end) {
  const auto fits = [&](const world& w) {
    return std::all_of(replies.begin(), replies.end(), [&](const auto& entry) {
      const auto& [at, reply] = entry;
      const auto answer = w.answers.find(at);
      if (!reply)
        return end == batch_end::crashed || answer == w.answers.end();
      return answer != w.answers.end() && answer->second == *reply;
    });
  };
  std::vector<world> possible, left;
  for (const auto& w : worlds_)
    settlements(w, possible);
  for (auto& w : possible) {
    const auto is_settled = !w.finalizing && w.questions.empty();
    if ((!is_settled && end != batch_end::crashed) || !fits(w))
      continue;
    w.answers.clear();
    w.questions.clear();
    add(left, std::move(w));
  }
  if (left.empty())
    return false;
  worlds_ = std::move(left);
  return true;
}

std::string segment_model::explain() const {
  std::vector<world> possible;
  for (const auto& w : worlds_)
    settlements(w, possible);
  std::string text;
  for (const auto& w : possible)
    if (!w.finalizing && w.questions.empty())
      text += fmt::format("{}possible:{}", text.empty() ? "" : "\n  ", to_text(w.answers));
  return text;
}

bool segment_model::gateway_start(const std::string& source, timestamp_us before) {
  bool any = false;
  for (auto& w : worlds_) {
    if (!w.active || w.active->so_far.nodes.source != source || w.active->so_far.segment.timestamp >= before)
      continue;
    w.active.reset();
    w.is_cancelled = w.is_cancelled || !w.stored;
    any = true;
  }
  return any;
}

void segment_model::purge() {
  for (auto& w : worlds_)
    w.stored.reset();
}

void segment_model::became_durable() {
  for (auto& w : worlds_)
    if (w.active)
      w.active->is_durable = true;
}

void segment_model::stop() {
  std::vector<world> after;
  for (auto w : worlds_) {
    if (std::exchange(w.active, {}))
      w.is_cancelled = w.is_cancelled || !w.stored;
    add(after, std::move(w));
  }
  worlds_ = std::move(after);
}

void segment_model::crash() {
  std::vector<world> after;
  for (const auto& before : worlds_) {
    std::vector<world> survivors;
    settlements(before, survivors); // a completion may have made it; here are those where it has not, too
    for (auto& w : survivors) {
      const auto active = std::exchange(w.active, {});
      const auto finalizing = std::exchange(w.finalizing, {});
      w.answers.clear();
      const auto is_known = [](const auto& begun) {
        return begun && begun->is_durable && !begun->began_beside_stored;
      };
      if (!is_known(active) && !is_known(finalizing))
        add(after, w);
      if (active || finalizing)
        w.is_cancelled = w.is_cancelled || !w.stored;
      add(after, std::move(w));
    }
  }
  worlds_ = std::move(after);
}

} // namespace cairn::model
