#include "tests/actors/actor_fixture.hpp"

#include "core/digest.hpp"

#include <caf/scheduled_actor.hpp>

namespace cairn {

// --- stubs ---

writer_actor::behavior_type writer_stub(writer_actor::pointer, writer_inbox* inbox) {
  return {
    [](const connect_writer&) {},
    [=](const submit& m) { inbox->submits.push_back(m); },
    [=](const client_gone& m) { inbox->clients_gone.push_back(m.client); },
    [](const digest_verdicts&) {},
    [](digest_gathered) {},
    [=](const records_appended& m) {
      inbox->order.emplace_back("appended");
      inbox->appended.push_back(m);
    },
    [=](const log_synced& m) {
      inbox->order.emplace_back("synced");
      inbox->synced.push_back(m);
    },
    [=](const log_failed& m) {
      inbox->order.emplace_back("failed");
      inbox->failed.push_back(m);
    },
    [=](const space_report& m) { inbox->space.push_back(m.has_space); },
    [](const round_committed&) {},
    [=](const sync_tick& m) { inbox->ticks.push_back(m.is_periodic); },
    [](stop_writing) { return writing_stopped{}; },
  };
}

namespace {

template <class Reply, class Question>
caf::result<Reply> answer_question(reader_actor::pointer self, reader_inbox* inbox,
                                   const Question& question) {
  inbox->questions.push_back(question.env.message_id);
  Reply reply;
  reply.env = question.env;
  if (inbox->answers)
    return reply;
  auto promise = self->make_response_promise<Reply>();
  inbox->late_answers.push_back([promise, reply]() mutable { promise.deliver(std::move(reply)); });
  return promise;
}

} // namespace

reader_actor::behavior_type reader_stub(reader_actor::pointer self, reader_inbox* inbox) {
  return {
    [=](const retrieve_start& m) { return answer_question<retrieve_reply>(self, inbox, m); },
    [=](const retrieve_next& m) { return answer_question<retrieve_reply>(self, inbox, m); },
    [=](const lookup& m) { return answer_question<lookup_reply>(self, inbox, m); },
    [=](const list_keys& m) { return answer_question<list_reply>(self, inbox, m); },
    [=](const list_versions& m) { return answer_question<list_reply>(self, inbox, m); },
    [=](const list_handoffs& m) { return answer_question<handoff_reply>(self, inbox, m); },
    [](answer_gathered) {},
    [=](interval_tick) { // an actor's promises are for its own turn
      for (auto& answer : std::exchange(inbox->late_answers, {}))
        answer();
    },
  };
}

value_file_actor::behavior_type value_file_stub(value_file_actor::pointer, neighbour_inboxes* inbox) {
  return {
    [=](const append_records& m) { inbox->appends.push_back(m.job); },
    [](interval_tick) {},
    [](close_log) { return log_closed{}; },
  };
}

node_db_actor::behavior_type node_db_stub(node_db_actor::pointer, neighbour_inboxes* inbox) {
  return {
    [=](const fold_round& m) { inbox->folds.push_back(m.job); },
    [=](commit_round) { ++inbox->commits; },
    [=](abandon_round) { ++inbox->abandons; },
    [](interval_tick) {},
    [](const finish_database&) { return database_finished{}; },
  };
}

sync_timer_actor::behavior_type sync_timer_stub(sync_timer_actor::pointer, neighbour_inboxes* inbox) {
  return {
    [=](round_due m) {
      ++inbox->rounds_due;
      inbox->due.push_back(m);
    },
    [](interval_tick) {},
  };
}

digester_actor::behavior_type digester_stub(digester_actor::pointer, neighbour_inboxes* inbox) {
  return {
    [=](const digest_request& m) { inbox->digests.push_back(m); },
  };
}

reply_actor::behavior_type reply_stub(reply_actor::pointer self, reply_inbox* inbox) {
  const auto archive = [=](const auto&) { return self->make_response_promise<archive_reply>(); };
  return {
    [=](const archive_key_entire& m) { return archive(m); },
    [=](const archive_key_start& m) { return archive(m); },
    [=](const archive_key_next& m) { return archive(m); },
    [=](const archive_key_final& m) { return archive(m); },
    [=](const archive_key_cancel& m) { return archive(m); },
    [=](const destroy_key& m) { return archive(m); },
    [=](const start_conjoined_archive& m) { return archive(m); },
    [=](const abort_conjoined_archive& m) { return archive(m); },
    [=](const finish_conjoined_archive& m) { return archive(m); },
    [=](const gateway_start& m) { return archive(m); },
    [=](const purge& m) { return archive(m); },
    [=](const add_node& m) { return archive(m); },
    [=](const sync_value_file& m) { return archive(m); },
    [=](const retrieve_start&) { return self->make_response_promise<retrieve_reply>(); },
    [=](const retrieve_next&) { return self->make_response_promise<retrieve_reply>(); },
    [=](const lookup&) { return self->make_response_promise<lookup_reply>(); },
    [=](const list_keys&) { return self->make_response_promise<list_reply>(); },
    [=](const list_versions&) { return self->make_response_promise<list_reply>(); },
    [=](const list_handoffs&) { return self->make_response_promise<handoff_reply>(); },
    [=](const list_nodes&) { return self->make_response_promise<nodes_reply>(); },
    [=](const write_answers& m) {
      inbox->answers.insert(inbox->answers.end(), m.answers->begin(), m.answers->end());
    },
    [](write_path_lost) {},
    [](const use_actors&) {},
    [](answers_taken) {},
    [](interval_tick) {},
  };
}

// --- fixture ---

stepped_config::stepped_config() {
  set("scheduler.policy", caf::atom("testing"));
  set("logger.verbosity", caf::atom("quiet"));
}

actor_fixture::actor_fixture()
    : system(config), scheduler(dynamic_cast<caf::scheduler::test_coordinator&>(system.scheduler())),
      client(spawn_client()) {}

void actor_fixture::TearDown() {
  for (const auto& actor : owned_)
    kill(actor);
  run();
}

caf::actor actor_fixture::spawn_client() {
  return own(system.spawn(
    [](caf::event_based_actor* self, std::vector<archive_reply>* kept) -> caf::behavior {
      return {
        [=](const act& m) { m.what(self); },
        [=](archive_reply& reply) { kept->push_back(std::move(reply)); },
      };
    },
    &unasked));
}

void actor_fixture::run_without(std::string_view name) {
  scheduler.run_jobs_filtered([=](caf::resumable* job) {
    const auto* actor = dynamic_cast<caf::scheduled_actor*>(job);
    return actor == nullptr || name != actor->name();
  });
}

void actor_fixture::pass(std::chrono::milliseconds time) {
  scheduler.advance_time(time);
  run();
}

void actor_fixture::kill(const caf::strong_actor_ptr& actor) {
  caf::anon_send_exit(actor, caf::exit_reason::kill);
}

// --- samples ---

payload sample_data(std::size_t size_bytes, std::uint8_t first) {
  auto data = payload::uninitialized(size_bytes);
  std::uint8_t next = first;
  for (auto& byte : data.mutable_bytes())
    byte = std::byte{next++};
  return data;
}

sequence_info describe_data(const payload& data, std::int32_t sequence_num) {
  const auto digests = digest_payload(data.bytes());
  sequence_info info;
  info.sequence_num = sequence_num;
  info.size_bytes = static_cast<std::uint32_t>(data.size());
  info.md5 = digests.md5;
  info.adler32 = digests.adler32;
  return info;
}

std::shared_ptr<node_directory> sample_nodes() {
  return std::make_shared<node_directory>(std::vector<node_record>{{node_id{1}, sample_node, {}, 0}});
}

namespace {

template <class Message>
void add_data(Message& message, std::int32_t sequence_num, std::size_t size_bytes) {
  message.data = sample_data(size_bytes);
  message.sequence = describe_data(message.data, sequence_num);
}

segment_info sample_segment(std::uint64_t version) {
  return {collection_id{1}, "key", unified_id{version}, timestamp_us{1'700'000'000'000'000}, 0, 1};
}

} // namespace

archive_key_entire sample_entire(std::uint64_t version, std::size_t size_bytes) {
  auto message = numbered<archive_key_entire>(version);
  message.segment = sample_segment(version);
  message.nodes.source = sample_node;
  message.file.size_bytes = static_cast<std::int64_t>(size_bytes);
  add_data(message, 0, size_bytes);
  return message;
}

archive_key_start sample_start(std::uint64_t version, std::size_t size_bytes) {
  auto message = numbered<archive_key_start>(version);
  message.segment = sample_segment(version);
  message.nodes.source = sample_node;
  add_data(message, 0, size_bytes);
  return message;
}

archive_key_next sample_next(std::uint64_t version, std::int32_t sequence_num, std::size_t size_bytes) {
  auto message = numbered<archive_key_next>(version);
  message.key = {unified_id{version}, 0, 1, {}};
  add_data(message, sequence_num, size_bytes);
  return message;
}

archive_key_final sample_final(std::uint64_t version, std::int32_t sequence_num, std::size_t size_bytes) {
  auto message = numbered<archive_key_final>(version);
  message.key = {unified_id{version}, 0, 1, {}};
  add_data(message, sequence_num, size_bytes);
  return message;
}

} // namespace cairn
