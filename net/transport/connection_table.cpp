#include "net/transport/connection_table.hpp"

#include <algorithm>
#include <cstring>

#include <caf/binary_serializer.hpp>
#include <caf/io/basp_broker.hpp>
#include <caf/io/middleman.hpp>
#include <caf/node_id.hpp>
#include <caf/send.hpp>

namespace cairn {

namespace {

constexpr std::size_t scratch_bytes = 64 * 1024;

std::string written_node_id(caf::actor_system& system) {
  std::vector<char> bytes;
  caf::binary_serializer out(system, bytes);
  if (out(system.node()))
    return {};
  return {bytes.begin(), bytes.end()};
}

/// @param written a node id as frame_guard accepts it
caf::node_id read_node_id(const std::string& written) {
  constexpr std::size_t process_at = 8;
  constexpr std::size_t host_at = 12;
  std::uint32_t process = 0;
  for (std::size_t i = process_at; i < host_at; ++i)
    process = process << 8U | static_cast<unsigned char>(written[i]);
  caf::node_id::default_data::host_id_type host;
  std::memcpy(host.data(), written.data() + host_at, host.size());
  return caf::make_node_id(process, host);
}

} // namespace

connection_table::connection_table(caf::actor_system& system, const transport_limits& limits)
    : limits_(limits), self_(written_node_id(system)),
      loop_(dynamic_cast<caf::io::network::default_multiplexer&>(system.middleman().backend())),
      broker_(system.middleman().named_broker<caf::io::basp_broker>(caf::atom("BASP"))),
      scratch_(scratch_bytes) {}

void connection_table::add(connection& added) { connections_.emplace(added.id(), &added); }

void connection_table::remove(connection& removed) {
  if (connections_.erase(removed.id()) != 0 && removed.is_greeted())
    forget_node(removed.peer_node());
}

/// CAF keeps an actor and a map entry for each node that ever connected; with clients that come and go that
/// would grow for ever.
void connection_table::forget_node(const std::string& node) {
  const auto same = [&](const auto& entry) { return entry.second->peer_node() == node; };
  if (std::any_of(connections_.begin(), connections_.end(), same))
    return;
  auto* broker = living_broker();
  if (broker == nullptr)
    return;
  const auto found = broker->spawn_servers.find(read_node_id(node));
  if (found == broker->spawn_servers.end())
    return;
  caf::anon_send_exit(found->second, caf::exit_reason::kill);
  broker->spawn_servers.erase(found);
}

/// What is done to a connection may end it, and others: each is held while it is visited.
std::vector<connection_pointer> connection_table::all() const {
  std::vector<connection_pointer> held;
  held.reserve(connections_.size());
  for (const auto& [id, each] : connections_)
    held.emplace_back(each);
  return held;
}

caf::io::basp_broker* connection_table::living_broker() const {
  auto* broker = static_cast<caf::io::basp_broker*>(caf::actor_cast<caf::abstract_actor*>(broker_));
  constexpr auto ends = caf::abstract_actor::is_terminated_flag | caf::abstract_actor::is_shutting_down_flag;
  return broker->getf(ends) ? nullptr : broker;
}

void connection_table::find_handle(const caf::node_id& node, caf::actor_id actor,
                                   std::function<void(caf::strong_actor_ptr)> on_found) {
  auto* broker = living_broker();
  if (broker == nullptr || connection_to(node) == 0)
    return on_found(nullptr);
  auto handle = broker->proxies().get_or_put(node, actor);
  post([=, on_found = std::move(on_found)](connection_table& table) { // after what was to be done by now
    if (!handle->get()->getf(caf::abstract_actor::is_terminated_flag))
      return on_found(handle);
    // Its end leaves the same to do: a handle that is made before that is done would be voided, too, and so
    // on.
    table.post([=](connection_table& t) { t.find_handle(node, actor, on_found); });
  });
}

void connection_table::forget_last_hop() {
  if (auto* broker = living_broker())
    broker->set_last_hop(nullptr);
}

std::uint64_t connection_table::connection_to(const caf::node_id& node) const {
  auto* broker = living_broker();
  if (broker == nullptr)
    return 0;
  const auto handle = broker->instance.tbl().lookup_direct(node);
  for (const auto& [id, each] : connections_)
    if (handle && each->hdl() == *handle && !each->is_closing())
      return id;
  return 0;
}

void connection_table::close(std::uint64_t id, std::string_view reason) {
  if (const auto found = connections_.find(id); found != connections_.end())
    connection_pointer(found->second)->close_now(reason);
}

void connection_table::close_all(std::string_view reason) {
  for (const auto& each : all())
    each->close_now(reason);
}

void connection_table::stop_reading() {
  for (const auto& each : all())
    each->stop_reading();
}

connection_table::untaken connection_table::count_untaken() const {
  untaken sum;
  for (const auto& [id, each] : connections_)
    if (const auto bytes = each->untaken_bytes(); bytes != 0) {
      sum.bytes += bytes;
      ++sum.connections;
    }
  return sum;
}

void connection_table::evict_one() {
  connection* oldest = nullptr;
  for (const auto& [id, each] : connections_)
    if (!each->is_greeted() && (oldest == nullptr || each->opened() < oldest->opened()))
      oldest = each;
  if (oldest != nullptr)
    connection_pointer(oldest)->close_now("it has not greeted, and others want to connect");
}

void connection_table::sweep(steady_time now) {
  const auto is_room_scarce = is_watching_ && totals_->held_bytes() > limits_.max_total_held_bytes;
  for (const auto& each : all())
    each->sweep(now, is_room_scarce);
  buffers_->rest();
  spares_->rest();
  reconsider_paused();
}

void connection_table::watch_releases() {
  if (is_watching_)
    return;
  is_watching_ = true;
  const auto is_posted = std::make_shared<std::atomic<bool>>(false);
  const std::weak_ptr<connection_table> weak = weak_from_this();
  totals_->set_release_watcher(std::make_shared<const std::function<void()>>([is_posted, weak] {
    if (is_posted->exchange(true))
      return; // one look for many releases
    if (const auto table = weak.lock())
      table->post([is_posted](connection_table& t) {
        *is_posted = false;
        t.reconsider_paused();
      });
  }));
}

/// In the order in which they stopped: else those that come first here would get all room that is released.
void connection_table::reconsider_paused() {
  if (!is_watching_)
    return;
  auto waiting = all();
  std::erase_if(waiting, [](const connection_pointer& each) { return !each->is_paused(); });
  std::ranges::sort(waiting, {}, &connection::paused_at);
  for (const auto& each : waiting)
    each->reconsider();
  const auto paused = [](const auto& entry) { return entry.second->is_paused(); };
  if (std::none_of(connections_.begin(), connections_.end(), paused)) {
    totals_->set_release_watcher(nullptr);
    is_watching_ = false;
  }
}

} // namespace cairn
