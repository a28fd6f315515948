<resource schema="__system">
  <STREAM id="obscore-extracolumns">
    <column name="obs_release_date" type="timestamp" description="when the pixels become public"/>
    <column name="proposal_id" type="text" description="programme of the observation"/>
  </STREAM>
  <STREAM id="obscore-extrapars">
    <mixinPar name="obs_release_date" description="when the pixels become public">NULL</mixinPar>
    <mixinPar name="proposal_id" description="programme of the observation">NULL</mixinPar>
  </STREAM>
  <STREAM id="obscore-extraevents">
    <property name="obscoreClause" cumulate="True">
      ,
      CAST(\\obs_release_date AS timestamp) AS obs_release_date,
      CAST(\\proposal_id AS text) AS proposal_id
    </property>
  </STREAM>
</resource>
