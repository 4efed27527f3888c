"""Labels of annotation and editing programs, in the forms in which these export them."""

from typing import Any

TASK: dict[str, Any] = {
    "id": 1,
    "data": {"video": "/data/upload/3/0a1b2c3d-derby.mp4"},
    "annotations": [
        {
            "updated_at": "2026-01-02T10:00:00Z",
            "result": [
                {
                    "id": "r1",
                    "type": "timelinelabels",
                    "from_name": "videoLabels",
                    "value": {"ranges": [{"start": 188, "end": 200}], "timelinelabels": ["PASS"]},
                },
                {"id": "r1", "type": "choices", "from_name": "team", "value": {"choices": ["home"]}},
                {"id": "r2", "type": "videorectangle", "value": {"sequence": [], "labels": ["ball"]}},
            ],
        },
        {
            "updated_at": "2026-01-01T10:00:00Z",
            "result": [{"value": {"ranges": [{"start": 9, "end": 9}], "timelinelabels": ["SHOT"]}}],
        },
    ],
}
LABEL_STUDIO = [TASK]
"""Label Studio's JSON."""
VIA: dict[str, Any] = {
    "project": {"pid": "p", "vid_list": ["1"]},
    "config": {},
    "attribute": {
        "1": {"aname": "TEMPORAL-SEGMENTS", "type": 4, "options": {"0": "PASS", "1": "SHOT"}},
        "2": {"aname": "team", "type": 1, "options": {}},
    },
    "file": {"7": {"fid": "7", "fname": "derby.mp4", "type": 4, "loc": 1, "src": ""}},
    "metadata": {
        "1_a": {"vid": "1", "flg": 0, "z": [7.48, 9.1], "xy": [], "av": {"2": "home", "1": "0"}},
        "1_b": {"vid": "1", "flg": 0, "z": [12.25], "xy": [2, 1, 1, 9, 9], "av": {"1": "1"}},
        "1_c": {"vid": "1", "flg": 0, "z": [15], "xy": [], "av": {"1": "heel"}},
    },
    "view": {"1": {"fid_list": ["7"]}},
}
VIA_FULL = """# Exported using VGG Image Annotator (http://www.robots.ox.ac.uk/~vgg/software/via)
# ATTRIBUTE = {"1":{"aname":"action","type":4,"options":{"0":"PASS"}},"2":{"aname":"team","type":1,"options":{}}}
# CSV_HEADER = metadata_id,file_list,flags,temporal_coordinates,spatial_coordinates,metadata
"1_a","[""derby.mp4""]",0,"[7.48,9.1]","[]","{""1"":""0"",""2"":""home""}"
"1_b","[""derby.mp4""]",0,"[12.25]","[2,1,1,9,9]","{""1"":""0""}"
"""
VIA_SEGMENTS = """# Exported using VGG Image Annotator (http://www.robots.ox.ac.uk/~vgg/software/via)
# CSV_HEADER = metadata_id,file_list,temporal_segment_start,temporal_segment_end,metadata
"1_a","[""derby.mp4""]",7.48,9.1,"{""TEMPORAL-SEGMENTS"":""PASS"",""team"":""home""}"
"""
CVAT = """<?xml version="1.0" encoding="utf-8"?>
<annotations><version>1.1</version>
 <meta><task><id>4</id><name>first task</name><mode>interpolation</mode><source>derby.mp4</source></task></meta>
 <image id="187" name="frame_000187" width="1280" height="720">
  <tag label="PASS" source="manual"><attribute name="team">home</attribute></tag>
  <box label="ball" xtl="1" ytl="1" xbr="2" ybr="2"/>
 </image>
 <image id="188" name="frame_000188"><tag label="PASS" source="manual"/></image>
 <image id="190" name="frame_000190"><tag label="PASS" source="manual"/></image>
</annotations>
"""
FCPXML = """<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE fcpxml>
<fcpxml version="1.10">
 <resources>
  <asset id="r2" name="derby" start="3600s"><media-rep kind="original-media" src="file:///Users/a/the%20derby.mp4"/></asset>
 </resources>
 <library><event><project><sequence tcStart="3600s"><spine>
  <asset-clip ref="r2" offset="3600s" start="108150/30s" duration="60s">
   <marker start="108225/30s" duration="1001/30000s" value="PASS" note="low"/>
   <chapter-marker start="3608.5s" value="SHOT"/>
  </asset-clip>
  <clip offset="3660s" start="10s" duration="9s">
   <video ref="r2" offset="0s" start="3700s"/><marker start="12s" value="OUT"/>
  </clip>
  <gap offset="3670s" start="0s"><marker start="1s" value="look here"/></gap>
  <asset-clip ref="r2" offset="3680s"><timeMap/><marker start="3601s" value="SLOW"/></asset-clip>
 </spine></sequence></project></event></library>
</fcpxml>
"""
