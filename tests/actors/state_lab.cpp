#include "tests/actors/state_lab.hpp"

#include <fmt/format.h>

namespace cairn {

namespace {

payload data_of(const lab_object& object, std::int32_t number, int variant) {
  return sample_data(100,
                     static_cast<std::uint8_t>(object.version * 31 + static_cast<std::uint64_t>(number) * 7
                                               + static_cast<std::uint64_t>(variant) * 101));
}

template <class Message>
void add_data(Message& message, const lab_object& object, std::int32_t number, int variant) {
  message.data = data_of(object, number, variant);
  message.sequence = describe_data(message.data, number);
}

file_info file_of(int variant) { return {300, 1000U + static_cast<std::uint32_t>(variant), {}}; }

} // namespace

segment_info lab_object::segment() const {
  return {collection_id{1}, key(), unified_id{version}, timestamp(), 0, 1};
}

timestamp_us lab_object::timestamp() const {
  return timestamp_us{1'700'000'000'000'000 + static_cast<std::int64_t>(version) * 1'000};
}

archive_key_entire entire_of(const lab_object& object, int variant) {
  archive_key_entire message;
  message.segment = object.segment();
  message.nodes = {sample_node, object.handoff};
  message.file = file_of(variant);
  add_data(message, object, 0, variant);
  return message;
}

archive_key_start start_of(const lab_object& object, int variant) {
  archive_key_start message;
  message.segment = object.segment();
  message.nodes = {sample_node, object.handoff};
  add_data(message, object, 0, variant);
  return message;
}

archive_key_next next_of(const lab_object& object, std::int32_t number, int variant) {
  archive_key_next message;
  message.key = object.segment_key();
  add_data(message, object, number, variant);
  return message;
}

archive_key_final final_of(const lab_object& object, std::int32_t number, int variant) {
  archive_key_final message;
  message.key = object.segment_key();
  message.file = file_of(variant);
  add_data(message, object, number, variant);
  return message;
}

destroy_key destroy_of(const lab_object& object, std::uint64_t deletes) {
  return {{},
          collection_id{1},
          object.key(),
          unified_id{object.version},
          unified_id{deletes},
          object.timestamp(),
          1,
          {sample_node, object.handoff}};
}

std::string to_string(hold where) {
  switch (where) {
    case hold::filling: return "its round fills";
    case hold::writing: return "its round is being written";
    case hold::committing: return "its round is being committed";
  }
  return {};
}

state_lab::state_lab()
    : node_([](node_settings& settings) { settings.idle_limit = std::chrono::seconds{5}; }) {
  expect_success(send(add_node{{}, node_id{2}, "away", {}, 0}));
}

lab_object state_lab::new_object(bool is_entire, const std::string& handoff) {
  return {next_version_++, is_entire, handoff};
}

void state_lab::expect_success(lab_reply reply) {
  node_.run();
  EXPECT_EQ(reply(), "success");
}

void state_lab::bring(const lab_object& object, const std::string& state, hold where, bool synced) {
  held_ = nullptr;
  const auto last = object.sequence_count() - 1;
  const auto begin = [&] {
    expect_success(send(start_of(object)));
    if (!object.is_entire)
      expect_success(send(next_of(object, 1)));
    if (synced)
      expect_success(send(sync_value_file{}));
  };
  const auto finish = [&] {
    if (object.is_entire)
      return send(entire_of(object));
    begin();
    return send(final_of(object, last));
  };
  if (state == "active") {
    begin();
  } else if (state == "finalizing") {
    held_ = finish();
    if (where == hold::filling)
      node_.run_without({"cairn.sync_timer", "cairn.value_file", "cairn.node_db"});
    else if (where == hold::writing)
      node_.run_without({"cairn.value_file", "cairn.node_db"});
    else
      node_.run_without({"cairn.node_db"});
    EXPECT_EQ(held_(), std::nullopt) << "answered before its round was committed";
  } else if (state == "final" || state == "retried") {
    expect_success(finish());
    if (state == "retried")
      begin();
  } else if (state == "cancelled") {
    begin();
    expect_success(send(archive_key_cancel{{}, object.segment_key()}));
  } else if (state == "tombstone") {
    expect_success(send(destroy_of(object)));
  } else {
    EXPECT_EQ(state, "none") << "no way into this state";
  }
}

state_cell state_lab::observe(const lab_reply& reply) {
  const auto disk_work = [&] {
    return node_.disk().count(disk_operation::write) + node_.disk().count(disk_operation::sync);
  };
  const auto before = disk_work();
  state_cell seen;
  const auto is_answered = [&](const char* when) {
    const auto result = reply();
    if (result) {
      seen.result = *result;
      seen.when = when;
    }
    return result.has_value();
  };
  node_.run_without({"cairn.sync_timer", "cairn.value_file", "cairn.node_db"});
  if (is_answered("at once"))
    return seen;
  node_.run_without({"cairn.node_db"});
  if (is_answered("written"))
    return seen;
  node_.run();
  // Who joins a final that waits is answered by the round of that one.
  const auto is_stored = held_ != nullptr || disk_work() != before;
  EXPECT_TRUE(is_answered(is_stored ? "durable" : "looked up")) << "no reply";
  return seen;
}

bool state_lab::is_readable(const lab_object& object) {
  retrieve_start question;
  question.segment = object.segment_key();
  const auto reply = node_.call<retrieve_reply>(question);
  if (reply.result != errc::success) {
    EXPECT_EQ(reply.result, errc::not_found) << reply.error_message;
    return false;
  }
  EXPECT_EQ(reply.segment, object.segment());
  EXPECT_EQ(reply.sequence_count, object.sequence_count());
  EXPECT_EQ(reply.sequence.info, describe_data(data_of(object, 0, 0), 0));
  return true;
}

bool state_lab::is_tombstone(const lab_object& object) {
  if (object.handoff.empty())
    return node_.call<lookup_reply>(lookup{{}, collection_id{1}, object.key(), unified_id{object.version}})
      .is_tombstone;
  for (const auto& held :
       node_.call<handoff_reply>(list_handoffs{{}, object.handoff, 0, max_list_limit}).handoffs)
    if (held.segment.version == unified_id{object.version} && held.is_tombstone)
      return true;
  return false;
}

std::string state_lab::state_of(const lab_object& object) {
  const auto readable = is_readable(object);
  if (is_tombstone(object))
    return readable ? "tombstone that can be read" : "tombstone";
  // Whatever the state, nothing takes a sequence with this number: the reply tells the state.
  const auto code = node_.call<archive_reply>(next_of(object, 100)).result;
  switch (code) {
    case errc::unknown_segment: return readable ? "unknown but readable" : "none";
    case errc::sequence_out_of_order: return readable ? "retried" : "active";
    case errc::duplicate_segment: return readable ? "final" : "final but not readable";
    case errc::cancelled: return readable ? "cancelled but readable" : "cancelled";
    default: return "unclear: " + std::string{to_string(code)};
  }
}

std::string state_lab::held_answer() {
  const auto answer = held_ ? held_() : std::nullopt;
  return answer.value_or("");
}

void state_lab::clean_up(const lab_object& object) {
  held_ = nullptr;
  expect_success(send(archive_key_cancel{{}, object.segment_key()}));
  node_.pass(std::chrono::seconds{1});
}

} // namespace cairn
