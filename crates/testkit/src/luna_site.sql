INSERT INTO cluster (id, name, domain_search, nameserver_ip, ntp_server, technical_contacts, provision_method, provision_fallback, debug, security, packing_bootpause, createnode_ondemand, createnode_macashost, nextnode_discover, bind_legacy)
  VALUES (1, 'mycluster', 'cluster,ipmi', '10.141.255.254', '10.141.255.254', 'root@localhost', 'torrent', 'http', 0, 0, 1, 1, 0, 0, 0);
INSERT INTO network (id, name, network, subnet, gateway, gateway_metric, dhcp, dhcp_nodes_in_pool, dhcp_range_begin, dhcp_range_end, zone, type)
  VALUES (1, 'cluster', '10.141.0.0', '16', '10.141.255.254', 101, 1, 0, '10.141.155.0', '10.141.165.0', 'internal', 'ethernet');
INSERT INTO network (id, name, network, subnet, network_ipv6, subnet_ipv6, dhcp, zone, type, shared)
  VALUES (2, 'ipmi', '10.148.0.0', '255.255.0.0', 'fd00:148::', '64', 0, 'internal', 'ethernet', 'storage');
INSERT INTO network (id, name, network, subnet, dhcp, zone, type) VALUES (3, 'storage', '10.149.0.0/16', NULL, 0, 'external', 'infiniband');
INSERT INTO controller (id, hostname, beacon, shadow, clusterid, serverport) VALUES (1, 'controller', 1, 0, 1, 7050);
INSERT INTO ipaddress (id, tableref, tablerefid, ipaddress, networkid, dhcp) VALUES (1, 'controller', 1, '10.141.255.254', 1, 0);
INSERT INTO osimage (id, name, path, kernelfile, initrdfile, imagefile, kernelversion, kernelmodules, kerneloptions, grab_filesystems, grab_exclude, distribution, tagid, changed)
  VALUES (1, 'compute', '/trinity/images/compute', 'compute-1-vmlinuz-5.14', 'compute-1-initramfs-5.14', 'compute-1.tar.bz2', '5.14', 'ipmi_devintf, ipmi_si', 'net.ifnames=0', '/, /boot', '/proc/*', 'redhat', 1, 0);
INSERT INTO osimagetag (id, name, osimageid, kernelfile, initrdfile, imagefile) VALUES (1, 'stable', 1, 'compute-0-vmlinuz', 'compute-0-initramfs', 'compute-0.tar.bz2');
INSERT INTO bmcsetup (id, name, userid, username, password, netchannel, mgmtchannel) VALUES (1, 'compute-bmc', 2, 'luna', 'A1B2#!', 1, 1);
INSERT INTO switch (id, name, macaddress, oid, read, rw) VALUES (1, 'switch01', 'AA-BB-CC-DD-EE-FF', '.1.3.6', 'public', 'trusted');
INSERT INTO ipaddress (id, tableref, tablerefid, ipaddress, networkid) VALUES (2, 'switch', 1, '10.141.200.1', 1);
INSERT INTO otherdevices (id, name) VALUES (1, 'pdu01');
INSERT INTO ipaddress (id, tableref, tablerefid, ipaddress) VALUES (3, 'otherdevices', 1, '192.168.7.7');
INSERT INTO cloud (id, name, type) VALUES (1, 'aws1', 'aws');
INSERT INTO "group" (id, name, domain, osimageid, bmcsetupid, setupbmc, netboot, bootmenu, partscript, postscript, roles)
  VALUES (1, 'compute', 'cluster', 1, 1, 1, 1, 0, 'bW91bnQ=', 'ZWNobw==', 'default,bond');
INSERT INTO groupinterface (id, groupid, interface, networkid) VALUES (1, 1, 'BOOTIF', 1);
INSERT INTO groupinterface (id, groupid, interface, networkid, dhcp) VALUES (2, 1, 'BMC', 2, 0);
INSERT INTO groupinterface (id, groupid, interface, networkid, bond_mode, bond_slaves, mtu) VALUES (3, 1, 'bond0', 3, '802.3ad', 'eth2,eth3', '9000');
INSERT INTO node (id, name, groupid, service, netboot, setupbmc, osimageid, osimagetagid, switchid, switchport, cloudid, vendor) VALUES (1, 'node001', 1, 0, 0, 'False', 1, 1, 1, 7, 1, 'Acme');
INSERT INTO node (id, name, groupid, service, osimagetagid) VALUES (2, 'node002', 1, 1, 'default');
INSERT INTO nodeinterface (id, nodeid, interface, macaddress) VALUES (1, 1, 'BOOTIF', 'aa:bb:cc:00:00:01');
INSERT INTO nodeinterface (id, nodeid, interface) VALUES (2, 1, 'BMC');
INSERT INTO nodeinterface (id, nodeid, interface, vlanid, vlan_parent, options) VALUES (3, 1, 'eth0.100', '100', 'eth0', 'YWJj');
INSERT INTO nodeinterface (id, nodeid, interface, macaddress) VALUES (4, 2, 'BOOTIF', 'aa:bb:cc:00:00:02');
INSERT INTO ipaddress (id, tableref, tablerefid, ipaddress, networkid, dhcp) VALUES (4, 'nodeinterface', 1, '10.141.0.1', 1, 0);
INSERT INTO ipaddress (id, tableref, tablerefid, ipaddress, ipaddress_ipv6, networkid) VALUES (5, 'nodeinterface', 2, '10.148.0.1', 'fd00:148::1', 2);
INSERT INTO ipaddress (id, tableref, tablerefid, ipaddress, networkid, dhcp) VALUES (6, 'nodeinterface', 4, '10.141.0.2', 1, 1);
INSERT INTO dns (id, host, ipaddress, networkid) VALUES (1, 'printer', '10.141.0.77', 1);
INSERT INTO nodesecrets (id, nodeid, name, content, path) VALUES (1, 1, 'hostkey', 'gAAAAABnabcdef==', '/etc/ssh/key');
INSERT INTO groupsecrets (id, groupid, name, content, path) VALUES (1, 1, 'munge', 'bXVuZ2U=', '/etc/munge/munge.key');
INSERT INTO rack (id, name, size, "order") VALUES (1, 'rack1', 48, 'ascending');
INSERT INTO rackinventory (id, tableref, tablerefid, rackid, height, position, orientation) VALUES (1, 'node', 1, 1, 2, 3, 'back');
INSERT INTO rackinventory (id, tableref, tablerefid, height) VALUES (2, 'otherdevices', 1, 0);
