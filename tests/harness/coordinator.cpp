#include "tests/harness/coordinator.hpp"

#include <fmt/format.h>

namespace cairn::harness {

std::unique_ptr<network> open_network(transport_options options) {
  auto opened = network::open(std::move(options));
  if (!opened)
    throw harness_error(opened.error().message);
  return std::move(*opened);
}

coordinator::coordinator(host_port host, transport_options net)
    : address_(std::move(host)), net_(open_network(std::move(net))) {
  self_.emplace(system());
}

coordinator::~coordinator() { host_ = nullptr; }

const host_actor& coordinator::host() {
  if (host_)
    return host_;
  auto connected = connect_host(wire(), address_, patience);
  if (!connected)
    throw harness_error(connected.error().message);
  host_ = std::move(connected->host);
  return host_;
}

start_node coordinator::settings_of(const std::string& name) {
  start_node settings;
  settings.name = name;
  settings.node = node_id{++last_node_id_};
  settings.root = name;
  return settings;
}

spawned_node coordinator::spawn_node(const start_node& settings) {
  auto spawned = spawn_unstarted();
  auto started = start(spawned, settings);
  if (started.result != errc::success)
    throw harness_error(fmt::format("the host refuses to start {}: {}: {}", settings.name,
                                    to_string(started.result), started.error_message));
  return {*this, std::move(spawned), std::move(started)};
}

spawned_node_actor coordinator::spawn_unstarted() {
  auto spawned = cairn::spawn_node(system(), host(), patience);
  if (!spawned)
    throw harness_error("remote spawn failed: " + spawned.error().message);
  return std::move(*spawned);
}

std::unique_ptr<client> coordinator::connect() {
  auto connected = client::connect(wire(), address_);
  if (!connected)
    throw harness_error("no client: " + connected.error().message);
  return std::move(*connected);
}

std::unique_ptr<client> coordinator::attach(const storage_node_actor& node) {
  auto attached = client::attach(system(), node);
  if (!attached)
    throw harness_error("no client: " + attached.error().message);
  return std::move(*attached);
}

// --- a spawned node ---

std::unique_ptr<client> spawned_node::attach() const { return by_->attach(handle_); }

std::int64_t spawned_node::end() {
  const auto ended = by_->ask<node_ended>(handle_, end_node{name()});
  if (ended.result != errc::success)
    throw harness_error(fmt::format("{} does not end: {}", name(), ended.error_message));
  return ended.lost;
}

void spawned_node::wait_until_lost() const { by_->wait_until_lost(handle_); }

} // namespace cairn::harness
