/// The table of states and messages in actors/README.md, cell by cell, against a whole node.

#include "tests/actors/state_lab.hpp"
#include "tests/harness/program.hpp"

#include <algorithm>
#include <set>

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <spdlog/spdlog.h>

namespace cairn {
namespace {

using namespace std::chrono_literals;

/// Sends the row's message (and sees to the reply), or makes the row's event happen.
using lab_step = std::function<state_cell(state_lab&, const lab_object&, const std::string& state)>;

struct row_driver {
  lab_step step;
  std::set<std::string> no_case; ///< states in which the row has no meaning
  bool is_entire = false;
  std::string handoff = {};
  std::vector<hold> holds{hold::filling, hold::writing, hold::committing};
  bool synced = false; ///< starts and nexts are durable before the row's step
};

template <class Make>
lab_step sending(Make make) {
  return [make](state_lab& lab, const lab_object& object, const std::string&) {
    return lab.observe(lab.send(make(object)));
  };
}

/// A question; `tell` makes its reply the cell's word.
template <class Reply, class Make, class Tell>
lab_step asking(Make make, Tell tell) {
  return [=](state_lab& lab, const lab_object& object, const std::string&) {
    auto out = lab.node().send<Reply>(make(object));
    return lab.observe([=]() -> std::optional<std::string> {
      return out->reply ? std::optional<std::string>(tell(*out->reply, object)) : std::nullopt;
    });
  };
}

constexpr auto result_of = [](const auto& reply, const lab_object&) {
  return std::string{to_string(reply.result)};
};

template <class Entries, class Version>
std::string listed(const Entries& entries, Version version) {
  return std::any_of(entries.begin(), entries.end(), version) ? "listed" : "not listed";
}

/// How many sequences the node has of the object by what it was sent: the number that follows.
std::int32_t following(const std::string& state) {
  if (state == "active" || state == "retried")
    return 2;
  return state == "none" || state == "tombstone" || state == "cancelled" ? 1 : 3;
}

lab_step gateway(const std::string& source, std::int64_t later_us) {
  return [=](state_lab& lab, const lab_object& object, const std::string& state) {
    auto out = lab.node().send<archive_reply>(
      gateway_start{{}, unified_id{1}, timestamp_us{object.timestamp().value + later_us}, source});
    const auto seen = lab.observe([out]() -> std::optional<std::string> {
      return out->reply ? std::optional<std::string>(to_string(out->reply->result)) : std::nullopt;
    });
    const auto concerns = source == sample_node && later_us > 0
                          && (state == "active" || state == "finalizing" || state == "retried");
    EXPECT_EQ(out->reply.value_or(archive_reply{}).count, concerns ? 1 : 0);
    return seen;
  };
}

/// The next sync fails: of the round of what waits, or else of one that has something of another key.
state_cell fail_sync(state_lab& lab, const lab_object&, const std::string& state) {
  auto& node = lab.node();
  node.disk().inject({disk_operation::sync});
  const auto other = lab.new_object(true, {});
  EXPECT_EQ(node.call<archive_reply>(entire_of(other)).result,
            state == "finalizing" ? errc::success : errc::storage_error);
  EXPECT_EQ(node.disk().faults_left(), 0U);
  EXPECT_EQ(node.call<archive_reply>(entire_of(other)).result, errc::success) << "its key is not taken";
  return {};
}

state_cell stop_and_start(state_lab& lab, const lab_object&, const std::string&) {
  auto& node = lab.node();
  const auto stopped = node.stop();
  node.run();
  EXPECT_TRUE(stopped->reply);
  EXPECT_EQ(stopped->reply.value_or(node_stopped{-1}).lost, 0);
  node.restart();
  return {};
}

state_cell lose_power(state_lab& lab, const lab_object&, const std::string&) {
  lab.node().lose_power();
  lab.node().restart();
  return {};
}

state_cell let_idle(state_lab& lab, const lab_object&, const std::string&) {
  lab.node().pass(6s);
  return {};
}

std::map<std::string, row_driver> make_drivers() {
  const auto newest = [](const lab_object& o) {
    retrieve_start question;
    question.collection = collection_id{1};
    question.key = o.key();
    return question;
  };
  const auto by_segment_key = [](const lab_object& o) {
    retrieve_start question;
    question.segment = o.segment_key();
    return question;
  };
  const auto in_listing = [](const list_reply& reply, const lab_object& o) {
    return listed(reply.keys, [&](const auto& entry) { return entry.key == o.key(); });
  };
  const auto next_following = [](state_lab& lab, const lab_object& o, const std::string& state) {
    return lab.observe(lab.send(next_of(o, following(state))));
  };
  const auto final_following = [](state_lab& lab, const lab_object& o, const std::string& state) {
    return lab.observe(lab.send(final_of(o, following(state))));
  };
  const auto conjoined = [](state_lab& lab, const lab_object& o, const std::string&) {
    const auto fill = [&](auto step) {
      step.collection = collection_id{1};
      step.key = o.key();
      step.version = unified_id{o.version};
      step.timestamp = o.timestamp();
      return step;
    };
    const auto first = lab.observe(lab.send(fill(start_conjoined_archive{})));
    EXPECT_EQ(lab.observe(lab.send(fill(finish_conjoined_archive{}))), first);
    EXPECT_EQ(lab.observe(lab.send(fill(abort_conjoined_archive{}))), first);
    return first;
  };
  std::map<std::string, row_driver> rows;
  rows["entire, same content"] = {sending([](const auto& o) { return entire_of(o); }), {}, true};
  rows["entire, other content"] = {sending([](const auto& o) { return entire_of(o, 1); }), {"none"}, true};
  rows["start, same content"] = {sending([](const auto& o) { return start_of(o); }), {}};
  rows["start, other content"] = {sending([](const auto& o) { return start_of(o, 1); }), {"none"}};
  rows["next, the number that follows"] = {next_following, {}};
  rows["next, an earlier number, same content"] = {sending([](const auto& o) { return next_of(o, 1); }),
                                                   {"none", "tombstone"}};
  rows["next, an earlier number, other content"] = {sending([](const auto& o) { return next_of(o, 1, 1); }),
                                                    {"none", "tombstone"}};
  rows["next, a number too high"] = {sending([](const auto& o) { return next_of(o, 9); }), {}};
  rows["final, the number that follows"] = {final_following, {"finalizing", "final"}};
  rows["final, same content"] = {sending([](const auto& o) { return final_of(o, 2); }),
                                 {"none", "active", "retried", "tombstone"}};
  rows["final, other content"] = {sending([](const auto& o) { return final_of(o, 2, 1); }),
                                  {"none", "active", "tombstone"}};
  rows["final, a number too high"] = {sending([](const auto& o) { return final_of(o, 9); }), {}};
  rows["cancel"] = {sending([](const auto& o) { return archive_key_cancel{{}, o.segment_key()}; }), {}};
  rows["gateway_start of its source, later"] = {gateway(sample_node, 1), {}};
  rows["gateway_start of its source, not later"] = {gateway(sample_node, 0), {}};
  rows["gateway_start of another source"] = {gateway("away", 1), {}};
  rows["destroy, same content"] = {sending([](const auto& o) { return destroy_of(o); }), {}};
  rows["destroy, other content"] = {sending([](const auto& o) { return destroy_of(o, 999'999); }),
                                    {"none", "active", "finalizing", "final", "retried", "cancelled"}};
  rows["start, abort, finish_conjoined_archive"] = {conjoined, {}};
  rows["purge of a handoff copy"] = {sending([](const auto& o) {
                                       return purge{{}, {o.segment_key()}};
                                     }),
                                     {},
                                     false,
                                     "away"};
  rows["purge of what is no handoff copy"] = {sending([](const auto& o) {
                                                return purge{{}, {o.segment_key()}};
                                              }),
                                              {}};
  rows["sync_value_file"] = {sending([](const auto&) { return sync_value_file{}; }), {}};
  rows["retrieve_start by segment key"] = {asking<retrieve_reply>(by_segment_key, result_of), {}};
  rows["retrieve_start by key"] = {asking<retrieve_reply>(newest, result_of), {}};
  rows["lookup of the key"] = {asking<lookup_reply>(
                                 [](const auto& o) {
                                   return lookup{{}, collection_id{1}, o.key(), {}};
                                 },
                                 result_of),
                               {}};
  rows["lookup of the version"] = {asking<lookup_reply>(
                                     [](const auto& o) {
                                       return lookup{{}, collection_id{1}, o.key(), unified_id{o.version}};
                                     },
                                     result_of),
                                   {}};
  rows["list_keys"] = {asking<list_reply>(
                         [](const auto& o) {
                           return list_keys{{}, collection_id{1}, o.key(), {}, 9};
                         },
                         in_listing),
                       {}};
  rows["list_versions"] = {
    asking<list_reply>([](const auto& o) { return list_versions{{}, collection_id{1}, o.key(), {}, {}, 9}; },
                       in_listing),
    {}};
  rows["list_handoffs"] = {asking<handoff_reply>(
                             [](const auto&) {
                               return list_handoffs{{}, "away", 0, max_list_limit};
                             },
                             [](const handoff_reply& reply, const lab_object& o) {
                               return listed(reply.handoffs, [&](const auto& entry) {
                                 return entry.segment.version == unified_id{o.version};
                               });
                             }),
                           {},
                           false,
                           "away"};
  rows["idle for the limit"] = {let_idle, {}};
  rows["a sync fails, starts and nexts not synced"] = {fail_sync, {}, false, {}, {hold::filling}};
  rows["a sync fails, starts and nexts synced"] = {fail_sync, {}, false, {}, {hold::filling}, true};
  rows["the node stops and starts"] = {stop_and_start, {}};
  rows["power is lost, nothing synced"] = {lose_power, {}, false, {}, {hold::filling, hold::writing}};
  rows["power is lost, all synced"] = {lose_power, {}, false, {}, {hold::committing}, true};
  return rows;
}

class StateTableTest : public testing::Test {
protected:
  static void SetUpTestSuite() { spdlog::set_level(spdlog::level::off); }
  static state_table table() {
    return read_state_table(harness::read_file(CAIRN_ACTORS_README), "message or event");
  }
};

TEST_F(StateTableTest, EachRowHasADriverAndEachDriverARow) {
  const auto read = table();
  const auto drivers = make_drivers();
  EXPECT_EQ(read.states, (std::vector<std::string>{"none", "active", "finalizing", "final", "retried",
                                                   "cancelled", "tombstone"}));
  EXPECT_EQ(std::set(read.messages.begin(), read.messages.end()).size(), read.messages.size())
    << "a row twice";
  for (const auto& message : read.messages)
    EXPECT_TRUE(drivers.contains(message)) << "no driver for the row: " << message;
  for (const auto& [message, driver] : drivers)
    EXPECT_TRUE(read.cells.contains(message)) << "no row for the driver: " << message;
}

TEST_F(StateTableTest, EachCellTellsWhatTheNodeDoes) {
  const auto read = table();
  state_lab lab;
  for (const auto& [message, driver] : make_drivers())
    for (const auto& state : read.states) {
      const auto row = read.cells.find(message);
      if (row == read.cells.end())
        continue; // told by the other test
      const auto& expected = row->second.at(state);
      EXPECT_EQ(expected.is_case, !driver.no_case.contains(state)) << message << " | " << state;
      if (!expected.is_case)
        continue;
      for (const auto where : driver.holds) {
        if (state != "finalizing" && where != driver.holds.front())
          continue;
        const auto object = lab.new_object(driver.is_entire, driver.handoff);
        const auto what =
          fmt::format("{} | {} of {}, while {}", message, state, object.key(), to_string(where));
        SCOPED_TRACE(what);
        lab.bring(object, state, where, driver.synced);
        auto seen = driver.step(lab, object, state);
        lab.node().run();
        if (state == "finalizing" && lab.held_answer() != "success")
          seen.held = lab.held_answer().empty() ? "no answer" : lab.held_answer();
        const auto then = lab.state_of(object);
        const auto unchanged = state == "finalizing" ? "final" : state;
        if (then != unchanged)
          seen.then = then;
        EXPECT_EQ(to_string(seen), to_string(expected));
        lab.clean_up(object);
      }
    }
}

/// The state of a conjoined archive by its row, and by whether its part can be seen.
std::string conjoined_state(state_lab& lab, const lab_object& part) {
  const auto row = lab.node().database().query(
    fmt::format("SELECT concat_ws(' ', CASE WHEN create_timestamp IS NOT NULL THEN 'create' END, CASE WHEN "
                "complete_timestamp IS"
                " NOT NULL THEN 'complete' END, CASE WHEN abort_timestamp IS NOT NULL THEN 'abort' END)"
                " FROM cairn.conjoined WHERE unified_id = {}",
                part.version));
  const auto seen =
    lab.node().call<lookup_reply>(lookup{{}, collection_id{1}, part.key(), {}}).result == errc::success;
  const auto has = [&](const char* step) { return row.find(step) != std::string::npos; };
  const std::string state = has("abort")      ? "aborted"
                            : has("complete") ? "finished"
                            : has("create")   ? "started"
                                              : "none";
  EXPECT_EQ(seen, state == "finished") << row;
  return state;
}

TEST_F(StateTableTest, EachStepOfAConjoinedArchiveDoesWhatItsCellTells) {
  const auto read = read_state_table(harness::read_file(CAIRN_ACTORS_README), "step");
  ASSERT_EQ(read.states, (std::vector<std::string>{"none", "started", "finished", "aborted"}));
  ASSERT_EQ(read.messages.size(), 3U);
  state_lab lab;
  const auto send = [&](const std::string& step, const lab_object& o) {
    const auto fill = [&](auto message) {
      message.collection = collection_id{1};
      message.key = o.key();
      message.version = unified_id{o.version};
      message.timestamp = o.timestamp();
      return lab.observe(lab.send(message));
    };
    if (step == "start_conjoined_archive")
      return fill(start_conjoined_archive{});
    return step == "finish_conjoined_archive" ? fill(finish_conjoined_archive{})
                                              : fill(abort_conjoined_archive{});
  };
  const std::map<std::string, std::vector<std::string>> ways{{"none", {}},
                                                             {"started", {"start"}},
                                                             {"finished", {"start", "finish"}},
                                                             {"aborted", {"start", "finish", "abort"}}};
  for (const auto& step : read.messages)
    for (const auto& state : read.states) {
      SCOPED_TRACE(step + " | " + state);
      const auto part = lab.new_object(true, {});
      auto message = entire_of(part);
      message.segment.conjoined_part = 1;
      ASSERT_EQ(lab.node().call<archive_reply>(message).result, errc::success);
      for (const auto& earlier : ways.at(state))
        ASSERT_EQ(send(earlier + "_conjoined_archive", part).result, "success");
      ASSERT_EQ(conjoined_state(lab, part), state);
      auto seen = send(step, part);
      if (const auto then = conjoined_state(lab, part); then != state)
        seen.then = then;
      EXPECT_EQ(to_string(seen), to_string(read.cells.at(step).at(state)));
    }
}

TEST_F(StateTableTest, NodeThatStopsTakesNothingThatStores) {
  state_lab lab;
  auto& node = lab.node();
  const auto active = lab.new_object(false, {});
  lab.bring(active, "active", hold::filling);
  const auto stopped = node.stop();
  node.run_without({"cairn.node_db"}); // the cancel of what is active waits for its commit
  ASSERT_FALSE(stopped->reply);
  for (const auto& [message, driver] : make_drivers()) {
    const auto object = lab.new_object(driver.is_entire, driver.handoff);
    auto stores = message.starts_with("entire") || message.starts_with("start") || message.starts_with("next")
                  || message.starts_with("final") || message.starts_with("cancel")
                  || message.starts_with("gateway") || message.starts_with("destroy")
                  || message.starts_with("purge of a") || message.starts_with("sync_value");
    if (!stores)
      continue;
    SCOPED_TRACE(message);
    const auto seen = driver.step(lab, object, "none");
    EXPECT_EQ(to_string(seen), "shutting_down, at once");
  }
  node.run();
  ASSERT_TRUE(stopped->reply);
  EXPECT_EQ(stopped->reply->lost, 0);
}

} // namespace
} // namespace cairn
