#pragma once
/// A small node's worth of every kind of fact that a log can hold, for tests of what is made of it later.

#include "core/clock.hpp"
#include "tests/harness/archives.hpp"

#include <stdexcept>
#include <string>
#include <vector>

#include <fmt/format.h>

namespace cairn::harness {

/// Leaves facts of every kind, several times each, on a node.
class every_fact {
public:
  /// @throws harness_error when one is refused
  explicit every_fact(client& by) : by_(by) {
    must(ask<archive_reply>(by_, add_node{{}, node_id{2}, "away", "10.0.0.2", 4160}));
    for (int i = 0; i < 3; ++i) {
      plain_objects(i);
      deletes(i);
      cancels(i);
      conjoined(i);
      handoffs(i);
    }
  }

  /// Newest versions that a listing shows.
  [[nodiscard]] const std::vector<sample_object>& visible() const { return visible_; }

private:
  static void must(const archive_reply& reply) {
    if (reply.result != errc::success)
      throw harness_error(reply.error_message);
  }
  sample_object stored(const std::string& key, const std::vector<std::size_t>& sizes) {
    auto object = make_object(by_, key, sizes);
    object.meta = {{"colour", "of " + key}, {"empty", ""}};
    must(archive(by_, object));
    return object;
  }

  void plain_objects(int i) {
    visible_.push_back(stored(fmt::format("plain/{}", i), {static_cast<std::size_t>(i) * 3'000}));
    visible_.push_back(stored(fmt::format("long/{}", i), {30'000, 30'000, 1}));
    stored(fmt::format("versions/{}", i), {100});
    visible_.push_back(stored(fmt::format("versions/{}", i), {200}));
    must(archive(by_, visible_.back())); // a repeat: what it writes is garbage
  }
  void deletes(int i) {
    stored(fmt::format("gone/{}", i), {500});
    must(ask<archive_reply>(by_, destroy_key{{},
                                             collection_id{1},
                                             fmt::format("gone/{}", i),
                                             by_.next_unified_id(),
                                             {},
                                             now_us(),
                                             1,
                                             {by_.node().node, {}}}));
    visible_.push_back(stored(fmt::format("one-version/{}", i), {300}));
    must(ask<archive_reply>(by_, delete_of(by_, stored(fmt::format("one-version/{}", i), {400}))));
  }
  void cancels(int i) {
    auto final = stored(fmt::format("cancelled/{}", i), {600});
    must(ask<archive_reply>(by_, archive_key_cancel{{}, final.key()}));
    auto active = make_object(by_, fmt::format("begun/{}", i), {700, 700});
    must(ask<archive_reply>(by_, start_of(active)));
    must(ask<archive_reply>(by_, archive_key_cancel{{}, active.key()}));
    auto unknown = make_object(by_, "never-begun", {1});
    must(ask<archive_reply>(by_, archive_key_cancel{{}, unknown.key()}));
    must(ask<archive_reply>(by_, start_of(make_object(by_, fmt::format("unfinished/{}", i), {800, 800}))));
  }
  void conjoined(int i) {
    for (const auto ends_with :
         {conjoined_action::start, conjoined_action::abort, conjoined_action::finish}) {
      auto part = make_object(by_, fmt::format("parts/{}/{}", static_cast<int>(ends_with), i), {900});
      part.segment.conjoined_part = 1;
      step<conjoined_action::start>(part);
      must(archive(by_, part));
      if (ends_with == conjoined_action::abort)
        step<conjoined_action::abort>(part);
      if (ends_with == conjoined_action::finish)
        step<conjoined_action::finish>(part);
    }
  }
  template <conjoined_action Action>
  void step(const sample_object& of) {
    must(ask<archive_reply>(
      by_, conjoined_step<Action>{{}, collection_id{1}, of.segment.key, of.segment.version, now_us(), {}}));
  }
  void handoffs(int i) {
    for (const bool is_purged : {false, true}) {
      auto copy = make_object(by_, fmt::format("handoff/{}", i), {1'000});
      auto message = entire_of(copy);
      message.nodes.handoff = "away";
      must(ask<archive_reply>(by_, message));
      auto key = copy.key();
      key.handoff_node = "away";
      if (is_purged)
        must(ask<archive_reply>(by_, purge{{}, {key}}));
    }
  }

  client& by_;
  std::vector<sample_object> visible_;
};

} // namespace cairn::harness
