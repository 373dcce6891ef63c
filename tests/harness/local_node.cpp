#include "tests/harness/local_node.hpp"

#include "actors/storage_node.hpp"
#include "actors/wire_types.hpp"
#include "tests/harness/program.hpp"

#include <caf/scoped_actor.hpp>
#include <caf/send.hpp>

namespace cairn::harness {

node_settings settings_in(const std::string& data_directory) {
  node_settings settings;
  settings.data_directory = data_directory;
  settings.reserve_percent = 0;
  settings.min_reserve_bytes = harness_reserve_bytes;
  return settings;
}

local_node::config::config() {
  add_wire_types(*this);
  set("scheduler.policy", caf::atom("sharing"));
  set("scheduler.max-threads", std::size_t{2});
}

local_node::local_node() : local_node(std::make_unique<scratch_directory>()) {}

local_node::local_node(std::unique_ptr<scratch_directory> scratch)
    : local_node(settings_in(*scratch / "node")) {
  scratch_ = std::move(scratch);
  if (start_.result != errc::success)
    throw harness_error("the node did not start: " + start_.error_message);
}

local_node::local_node(node_settings settings) : settings_(std::move(settings)), system_(config_) {
  storage_node_options options;
  options.settings = settings_;
  options.value_file_disk = &disk_;
  node_ = system_.spawn(storage_node, std::move(options));
  caf::scoped_actor self(system_);
  self->request(node_, caf::infinite, await_ready{})
    .receive([&](const readiness& answer) { start_ = answer; },
             [&](const caf::error& error) {
               start_.result = errc::internal_error;
               start_.error_message = system_.render(error);
             });
  if (start_.result != errc::success)
    node_ = nullptr;
}

local_node::~local_node() {
  try {
    stop();
  } catch (const harness_error&) { // a node that hangs is seen as a system that does not end
  }
}

storage_node_actor local_node::handle() { return caf::actor_cast<storage_node_actor>(node_); }

std::unique_ptr<client> local_node::attach() {
  auto attached = client::attach(system_, handle());
  if (!attached)
    throw harness_error("no client: " + attached.error().message);
  return std::move(*attached);
}

std::int64_t local_node::stop() {
  if (!node_)
    return 0;
  std::int64_t lost = 0;
  std::string problem;
  caf::scoped_actor self(system_);
  self->request(node_, std::chrono::seconds{60}, stop_node{})
    .receive([&](const node_stopped& stopped) { lost = stopped.lost; },
             [&](const caf::error& error) { problem = system_.render(error); });
  node_ = nullptr;
  if (!problem.empty())
    throw harness_error("the node did not stop: " + problem);
  return lost;
}

void local_node::end_abruptly() {
  caf::anon_send_exit(std::exchange(node_, nullptr), caf::exit_reason::kill);
}

} // namespace cairn::harness
