#include "tests/actors/stepped_node.hpp"

#include <algorithm>

#include <caf/scheduled_actor.hpp>

namespace cairn {

stepped_node::stepped_node(const std::function<void(node_settings&)>& change)
    : scheduler_(dynamic_cast<caf::scheduler::test_coordinator&>(system_.scheduler())) {
  settings_.data_directory = scratch_ / "node";
  settings_.database = database_.connection_string();
  settings_.reserve_percent = 0;
  settings_.min_reserve_bytes = 0;
  settings_.reader_count = 1;
  if (change)
    change(settings_);
  for (const auto* folder : {"/spaces", "/journal"})
    disk_.set_up_directory(settings_.data_directory + folder);
  begin();
}

stepped_node::~stepped_node() { end(); }

const storage_node_state& stepped_node::state() const {
  using implementation = caf::stateful_actor<storage_node_state, node_owner_actor::base>;
  return dynamic_cast<implementation&>(*caf::actor_cast<caf::abstract_actor*>(node_)).state;
}

void stepped_node::begin() {
  storage_node_options options;
  options.settings = settings_;
  options.value_file_disk = &disk_;
  options.use_threads = false;
  node_ = system_.spawn(storage_node, std::move(options));
  client_ = system_.spawn(
    [](caf::event_based_actor* self, int) -> caf::behavior {
      return {[=](const act& m) { m.what(self); }, [](const archive_reply&) {}};
    },
    0); // CAF 0.17 goes through a null pointer where a function takes nothing else
  start_ = call<readiness>(await_ready{});
  EXPECT_EQ(start_.result, errc::success) << start_.error_message;
  EXPECT_EQ(call<hello_reply>(hello{}).result, errc::success);
}

void stepped_node::end() {
  if (!node_)
    return;
  caf::anon_send_exit(node_, caf::exit_reason::kill);
  caf::anon_send_exit(client_, caf::exit_reason::kill);
  node_ = nullptr;
  client_ = nullptr;
  run();
}

void stepped_node::restart() {
  end();
  begin();
}

void stepped_node::lose_power() {
  disk_.cut_power_after(0);
  end();
  disk_.crash_losing_unsynced();
}

pending_outcome<node_stopped> stepped_node::stop() {
  return ask_as<node_stopped>(client_, node_, stop_node{});
}

void stepped_node::run_without(std::initializer_list<std::string_view> names) {
  scheduler_.run_jobs_filtered([&](caf::resumable* job) {
    const auto* actor = dynamic_cast<caf::scheduled_actor*>(job);
    return actor == nullptr || std::find(names.begin(), names.end(), actor->name()) == names.end();
  });
}

void stepped_node::pass(std::chrono::milliseconds time) {
  scheduler_.advance_time(time);
  run();
}

} // namespace cairn
